/* Making a matcher: everything that comes in is checked here. Part of core.c. */

/* Copy an array of 32-bit numbers. */
static int copy_numbers(PyObject *from, int32_t **to, Py_ssize_t *count)
{
    Py_buffer view;
    if (PyObject_GetBuffer(from, &view, PyBUF_SIMPLE) < 0)
        return 0;
    *count = view.len / (Py_ssize_t)sizeof **to;
    *to = *count > MAX_SIZE ? NULL : malloc((size_t)view.len + sizeof **to);
    if (*to == NULL) {
        PyBuffer_Release(&view);
        PyErr_NoMemory();
        return 0;
    }
    memcpy(*to, view.buf, (size_t)*count * sizeof **to);
    PyBuffer_Release(&view);
    return 1;
}

static int refuse(const char *what)
{
    PyErr_Format(PyExc_ValueError, "no matcher: %s", what);
    return 0;
}

static int no_memory(void)
{
    PyErr_NoMemory();
    return 0;
}

/* The arguments by their numbers, as flat.py gives them. */
enum { EARLIER, TAKEN, PATTERNS, FLAGS, ANCHORS, GUARDS, NEEDS_AT, NEEDS, PROGRAMS_AT, PROGRAMS, ALIASES, AROUND, EXACTS, TERMS,
       ENTITIES, LABELS, FIELDS, EVIDENCE, MATCH, ARGUMENTS };
#define ROWS (AROUND - ANCHORS + 1)

#include "taking.c"

/* Return the hash of a pattern's key and set its shape. Notes in `m`, unless it is NULL, what leads a scan there. */
static uint64_t key_of(Matcher *m, const unsigned char *text, int32_t length, uint8_t *shape)
{
    const unsigned char *at = text + 1, *end = text + length, *space;
    uint64_t hash = SEED;
    int32_t words = 0;
    if (text[0] != SPACE) {
        *shape = shape_of(0, 1);
        hash = hash_of(SEED, text, length);
        if (m != NULL) {
            note(&m->inner, hash_of(SEED, text, 2), OPENING);
            note(&m->inner, hash, WHOLE);
        }
        return hash;
    }
    for (; at < end; at = space + 1) {
        uint64_t word;
        int ends;
        space = memchr(at, SPACE, (size_t)(end - at));
        if (space == NULL) {
            int32_t open = (int32_t)(end - at);
            if (words && m != NULL)
                note(words > 1 ? &m->later : &m->first, hash, OPENING);
            *shape = shape_of(words + 1, 1);
            hash = hash_of(hash, at, open);
            if (m != NULL) {
                note(&m->open, hash, WHOLE);
                m->open_lengths |= (uint64_t)1 << (open < 63 ? open : 63);
            }
            return hash;
        }
        word = hashed(hash_of(SEED, at, (int32_t)(space - at)), SPACE);
        hash = words++ ? joined_hash(hash, word) : word;
        ends = words == KEY_WORDS || space + 1 == end;
        if (m != NULL)
            note(words > 1 ? &m->later : &m->first, hash, ends ? WHOLE : GOING_ON);
        if (ends)
            break;
    }
    *shape = shape_of(words, 0);
    return hash;
}

static int check_pattern(Matcher *m, int32_t pattern)
{
    const unsigned char *text = m->text + m->rows[pattern].text;
    int32_t length = length_of(m, pattern);
    if (length < 2 || memchr(text, 0, (size_t)length) != NULL)
        return refuse("a pattern is no words");
    if (text[0] != SPACE) {
        if (memchr(text, SPACE, (size_t)length) != NULL)
            return refuse("a pattern that begins anywhere is more than one word");
        if (length > m->inner_longest)
            m->inner_longest = length;
    }
    return 1;
}

/* Note all keys in filters of so many things each; twice, because only then it is known how many things there are. */
static int enter_keys(Matcher *m, int enter)
{
    Filter *filters[] = {&m->first, &m->later, &m->open, &m->inner};
    uint32_t mask = ((uint32_t)1 << (64 - m->slot_shift)) - 1, at, tag;
    int32_t pattern, filter;
    for (filter = 0; filter < 4; filter++)
        if (!make_filter(filters[filter], enter ? filters[filter]->kept : 2 * (int64_t)m->patterns))
            return no_memory();
    for (pattern = 0; pattern < m->patterns; pattern++) {
        Pattern *row = &m->rows[pattern];
        uint64_t hash = key_of(m, m->text + row->text, length_of(m, pattern), &row->shape);
        if (!enter)
            continue;
        tag = (uint32_t)(hash >> 16);
        for (at = (uint32_t)(hash >> m->slot_shift); m->slots[at].pattern >= 0 && m->slots[at].tag != tag;)
            at = (at + 1) & mask;
        row->next = m->slots[at].pattern;
        m->slots[at].pattern = pattern;
        m->slots[at].tag = tag;
    }
    return 1;
}

/* Enter the patterns of an earlier matcher, or NULL, and behind them those that are given. */
static int enter_patterns(Matcher *m, const Matcher *from, PyObject *patterns, const char *flags, Py_ssize_t flag_count)
{
    Py_ssize_t at, known = from == NULL ? 0 : from->patterns, count = known + PyList_Size(patterns), size, length;
    int64_t slots;
    char *text;
    if (count > MAX_SIZE / 32 || count != flag_count)
        return refuse("too many patterns");
    size = from == NULL ? 0 : from->rows[known].text;
    for (at = known; at < count; at++) {
        if (PyBytes_AsStringAndSize(PyList_GetItem(patterns, at - known), &text, &length) < 0)
            return 0;
        if (length > MAX_SIZE || (size += length) > MAX_SIZE)
            return refuse("patterns are too long");
    }
    m->patterns = (int32_t)count;
    m->text = malloc((size_t)size + 1);
    m->rows = calloc((size_t)count + 1, sizeof *m->rows);
    m->slot_shift = shift_for(2 * (int64_t)count);
    slots = (int64_t)1 << (64 - m->slot_shift);
    m->slots = malloc((size_t)slots * sizeof *m->slots);
    if (!m->text || !m->rows || !m->slots)
        return no_memory();
    memset(m->slots, 0xFF, (size_t)slots * sizeof *m->slots);
    for (at = 0; at < count; at++) {
        Pattern *row = &m->rows[at];
        row->flags = (uint8_t)flags[at];
        if (at < known) {
            text = (char *)from->text + from->rows[at].text;
            length = length_of(from, (int32_t)at);
            row->flags |= from->rows[at].flags;
        } else if (PyBytes_AsStringAndSize(PyList_GetItem(patterns, at - known), &text, &length) < 0) {
            return 0;
        }
        memcpy(m->text + row->text, text, (size_t)length);
        row[1].text = row->text + (int32_t)length;
        if (!check_pattern(m, (int32_t)at))
            return 0;
    }
    return enter_keys(m, 0) && enter_keys(m, 1);
}

/* Return in which order rows of `width` numbers, of which the first is a pattern's, are laid out by pattern; set where
   those of each pattern begin, in the member of its row at `offset`. NULL: out of range, or no memory. */
static int32_t *by_pattern(Matcher *m, const int32_t *rows, Py_ssize_t count, int width, size_t offset)
{
    Py_ssize_t at;
    int32_t pattern, *order = malloc((size_t)(count + 1) * sizeof *order);
#define BEGIN(number) (*(int32_t *)((char *)&m->rows[number] + offset))
    if (order == NULL) {
        no_memory();
        return NULL;
    }
    for (at = 0; at < count; at++) {
        if (rows[at * width] < 0 || rows[at * width] >= m->patterns) {
            free(order);
            refuse("a row's pattern is out of range");
            return NULL;
        }
        BEGIN(rows[at * width] + 1)++;
    }
    for (pattern = 1; pattern <= m->patterns; pattern++)
        BEGIN(pattern) += BEGIN(pattern - 1);
    for (at = count; at-- > 0;) /* from behind, so that the ends become the beginnings and the order stays */
        order[--BEGIN(rows[at * width] + 1)] = (int32_t)at;
    for (pattern = 0; pattern < m->patterns; pattern++)
        BEGIN(pattern) = BEGIN(pattern + 1);
    BEGIN(m->patterns) = (int32_t)count;
#undef BEGIN
    return order;
}

/* Lay out by pattern the topics that it leads to. `pairs`: pattern, topic. */
static int enter_anchors(Matcher *m, const int32_t *pairs, Py_ssize_t count, const int32_t *guards,
                         const int32_t *programs)
{
    Py_ssize_t at;
    int32_t *order = by_pattern(m, pairs, count, 2, offsetof(Pattern, anchored));
    m->anchored = malloc((size_t)(count + 1) * sizeof *m->anchored);
    if (order == NULL || m->anchored == NULL) {
        free(order);
        return PyErr_Occurred() ? 0 : no_memory();
    }
    for (at = 0; at < count; at++) {
        int32_t topic = pairs[2 * order[at] + 1];
        if (topic < 0 || topic >= m->topics || guards[topic] < -1 || guards[topic] >= m->patterns) {
            free(order);
            return refuse("an anchor is out of range");
        }
        m->anchored[at].topic = topic;
        m->anchored[at].guard = guards[topic];
        m->anchored[at].program = programs[topic];
    }
    free(order);
    return 1;
}

/* Lay out by pattern the aliases that it is. `rows`: pattern, entity, exact text. */
static int enter_aliases(Matcher *m, const int32_t *rows, Py_ssize_t count)
{
    Py_ssize_t at;
    int32_t *order = by_pattern(m, rows, count, 3, offsetof(Pattern, named));
    m->aliases = malloc((size_t)(count + 1) * sizeof *m->aliases);
    if (order == NULL || m->aliases == NULL) {
        free(order);
        return PyErr_Occurred() ? 0 : no_memory();
    }
    for (at = 0; at < count; at++) {
        const int32_t *row = rows + 3 * (Py_ssize_t)order[at];
        if (row[1] < 0 || row[1] >= m->entity_count || row[2] < UNTOLD || row[2] >= m->exact_count ||
            m->text[m->rows[row[0]].text] != SPACE) {
            free(order);
            return refuse("an alias is out of range");
        }
        m->aliases[at].entity = row[1];
        m->aliases[at].exact = row[2];
    }
    free(order);
    return 1;
}

static int check_needs(const Matcher *m, Py_ssize_t count)
{
    int32_t topic;
    if (m->needs_at[0] != 0 || m->needs_at[m->topics] != count)
        return refuse("needs are cut");
    for (topic = 0; topic < m->topics; topic++)
        if (m->needs_at[topic] > m->needs_at[topic + 1])
            return refuse("needs are out of order");
    for (topic = 0; topic < m->topics; topic++) {
        int32_t at = m->needs_at[topic], end = m->needs_at[topic + 1];
        while (at < end) {
            int32_t members = m->needs[at++];
            if (members < 0 || members > end - at)
                return refuse("a need is cut");
            for (; members > 0; members--, at++)
                if (m->needs[at] < 0 || m->needs[at] >= m->patterns)
                    return refuse("a need is out of range");
        }
    }
    return 1;
}

/* Return how many numbers the LEAF or ENTITY at `at` takes, 0 for one that is none. */
static int32_t check_leaf(const Matcher *m, const int32_t *at, int32_t room)
{
    int32_t member;
    if (room < 3)
        return 0;
    if (at[0] == ENTITY) {
        if (at[1] < 0 || at[1] > room - 3 || at[2] < 0 || at[2] >= m->term_count)
            return 0;
        for (member = 0; member < at[1]; member++)
            if (at[3 + member] < 0 || at[3 + member] >= m->entity_count)
                return 0;
        return 3 + at[1];
    }
    return at[0] == LEAF && room >= LEAF_SIZE && at[PATTERN] >= 0 && at[PATTERN] < m->patterns && at[WORDS] >= 1 &&
                   at[WORDS] <= MAX_SIZE && at[TERM] >= 0 && at[TERM] < m->term_count && at[EXACT] >= -1 &&
                   at[EXACT] < m->exact_count && m->text[m->rows[at[PATTERN]].text] == SPACE
               ? LEAF_SIZE
               : 0;
}

/* Return how many numbers the node at `at` takes, 0 for one that is none. `group`: a leaf, or an OR of leaves. */
static int32_t check_node(const Matcher *m, const int32_t *at, int32_t room, int depth, int group)
{
    int32_t taken = 3, one, member;
    if (depth > MAX_DEPTH || room < 3)
        return 0;
    switch (at[0]) {
    case LEAF:
    case ENTITY:
        return check_leaf(m, at, room);
    case AND:
    case OR:
        if (at[1] < 1 || (group && at[0] != OR))
            return 0;
        for (member = 0; member < at[1]; member++, taken += one) {
            one = group ? check_leaf(m, at + taken, room - taken)
                        : check_node(m, at + taken, room - taken, depth + 1, 0);
            if (!one)
                return 0;
        }
        return taken == at[2] ? taken : 0;
    case NOT:
        one = group ? 0 : check_node(m, at + 1, room - 1, depth + 1, 0);
        return one ? one + 1 : 0;
    case NEAR:
        if (group || at[1] < 0)
            return 0;
        for (member = 0; member < 2; member++, taken += one) {
            one = check_node(m, at + taken, room - taken, depth + 1, 1);
            if (!one)
                return 0;
        }
        return taken;
    case AT_LEAST:
    case FIELD:
    case FIRST:
        if (group || at[1] < 0 || (at[0] == FIELD && at[1] > BODY))
            return 0;
        one = check_node(m, at + 2, room - 2, depth + 1, at[0] == AT_LEAST);
        return one ? one + 2 : 0;
    default:
        return 0;
    }
}

/* Return the items of a tuple of texts in an array; the tuple keeps them. NULL: an error is set. */
static PyObject **items_of(PyObject *tuple, Py_ssize_t wanted, int32_t *count)
{
    PyObject **items;
    Py_ssize_t at, size = PyTuple_Check(tuple) ? PyTuple_Size(tuple) : -1;
    if (size < 0 || size > MAX_SIZE || (wanted >= 0 && size != wanted)) {
        refuse("its texts do not fit");
        return NULL;
    }
    items = malloc((size_t)(size + 1) * sizeof *items);
    if (items == NULL)
        PyErr_NoMemory();
    for (at = 0; items != NULL && at < size; at++) {
        items[at] = PyTuple_GetItem(tuple, at);
        if (!PyUnicode_Check(items[at])) {
            free(items);
            refuse("a text is none");
            return NULL;
        }
    }
    if (count != NULL)
        *count = (int32_t)size;
    return items;
}

static int enter_exacts(Matcher *m, PyObject *texts, const int32_t *around, Py_ssize_t count)
{
    int32_t at;
    PyObject **items = items_of(texts, count, &m->exact_count);
    m->exacts = items == NULL ? NULL : malloc((size_t)(count + 1) * sizeof *m->exacts);
    for (at = 0; m->exacts != NULL && at < m->exact_count; at++) {
        m->exacts[at].text = items[at];
        m->exacts[at].before = around[2 * at];
        m->exacts[at].after = around[2 * at + 1];
        if (around[2 * at] < 0 || around[2 * at] > MAX_SIZE || around[2 * at + 1] < 0 || around[2 * at + 1] > MAX_SIZE) {
            free(items);
            return refuse("an exact text is out of range");
        }
    }
    free(items);
    return m->exacts != NULL || (!PyErr_Occurred() && no_memory());
}

static int is_tuple_type(PyObject *type)
{
    return PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type);
}

/* Return the texts of an earlier matcher, or NULL, number `which` of those that it keeps, and behind them the given. */
static PyObject *texts_behind(const Matcher *from, Py_ssize_t which, PyObject *given)
{
    return from == NULL ? Py_NewRef(given) : PySequence_Concat(PyTuple_GetItem(from->kept, which), given);
}

static int enter(Matcher *m, PyObject *args, int32_t **rows)
{
    PyObject *given[ARGUMENTS], *terms, *exacts;
    Py_ssize_t counts[ROWS + 1], topics, flag_count;
    const Matcher *from = NULL;
    char *flags;
    int32_t at;
    for (at = 0; at < ARGUMENTS; at++)
        given[at] = PyTuple_GetItem(args, at);
    for (at = 0; at < ROWS; at++)
        if (!copy_numbers(given[ANCHORS + at], &rows[at], &counts[at]))
            return 0;
    if (!copy_numbers(given[TAKEN], &rows[ROWS], &counts[ROWS]))
        return 0;
    topics = counts[GUARDS - ANCHORS];
    if (given[EARLIER] != Py_None) {
        if (Py_TYPE(given[EARLIER]) != Py_TYPE((PyObject *)m) || !((Matcher *)given[EARLIER])->ready)
            return refuse("it cannot take over from that");
        from = (const Matcher *)given[EARLIER];
    }
    if (!PyList_Check(given[PATTERNS]) || counts[ROWS] != topics || topics > MAX_SIZE / 64 ||
        counts[PROGRAMS_AT - ANCHORS] != topics || !is_tuple_type(given[EVIDENCE]) || !is_tuple_type(given[MATCH]))
        return refuse("its parts do not fit");
    if (from != NULL && !take_over(from, rows[ROWS], (int32_t)topics, rows, counts))
        return 0;
    if (counts[NEEDS_AT - ANCHORS] != topics + 1)
        return refuse("its needs do not fit");
    m->topics = (int32_t)topics;
    terms = texts_behind(from, 0, given[TERMS]);
    exacts = terms == NULL ? NULL : texts_behind(from, 1, given[EXACTS]);
    m->kept = exacts == NULL ? NULL
                             : PyTuple_Pack(7, terms, exacts, given[ENTITIES], given[LABELS], given[FIELDS],
                                            given[EVIDENCE], given[MATCH]);
    Py_XDECREF(terms);
    Py_XDECREF(exacts);
    if (m->kept == NULL)
        return 0;
    m->evidence_type = given[EVIDENCE];
    m->match_type = given[MATCH];
    m->needs_at = rows[NEEDS_AT - ANCHORS];
    m->needs = rows[NEEDS - ANCHORS];
    m->programs = rows[PROGRAMS - ANCHORS];
    m->program_size = (int32_t)counts[PROGRAMS - ANCHORS];
    rows[NEEDS_AT - ANCHORS] = rows[NEEDS - ANCHORS] = rows[PROGRAMS - ANCHORS] = NULL;
    if (PyBytes_AsStringAndSize(given[FLAGS], &flags, &flag_count) < 0 ||
        !enter_patterns(m, from, given[PATTERNS], flags, flag_count) ||
        !(m->terms = items_of(terms, -1, &m->term_count)) ||
        !(m->entities = items_of(given[ENTITIES], -1, &m->entity_count)) ||
        !(m->labels = items_of(given[LABELS], 2 * topics, NULL)) || !(m->fields = items_of(given[FIELDS], 3, NULL)) ||
        !enter_exacts(m, exacts, rows[AROUND - ANCHORS], counts[AROUND - ANCHORS] / 2) ||
        !enter_aliases(m, rows[ALIASES - ANCHORS], counts[ALIASES - ANCHORS] / 3) ||
        !enter_anchors(m, rows[0], counts[0] / 2, rows[GUARDS - ANCHORS], rows[PROGRAMS_AT - ANCHORS]) ||
        !check_needs(m, counts[NEEDS - ANCHORS]))
        return 0;
    for (at = 0; at < m->topics; at++) {
        int32_t begin = rows[PROGRAMS_AT - ANCHORS][at];
        int64_t room = (int64_t)counts[PROGRAMS - ANCHORS] - begin;
        if (begin >= 0 && (room < 1 || !check_node(m, m->programs + begin, (int32_t)room, 0, 0)))
            return refuse("a program is none");
    }
    return 1;
}

static int matcher_init(Matcher *m, PyObject *args, PyObject *keywords)
{
    int32_t *rows[ROWS + 1] = {NULL}; /* the last: which topics are taken over */
    int at;
    if (m->kept != NULL || keywords != NULL || PyTuple_Size(args) != ARGUMENTS) {
        PyErr_SetString(PyExc_TypeError, "a matcher is made once, of what flat.py lays out");
        return -1;
    }
    m->ready = enter(m, args, rows);
    for (at = 0; at <= ROWS; at++)
        free(rows[at]);
    return m->ready ? 0 : -1;
}

static void matcher_free(Matcher *m)
{
    PyTypeObject *type = Py_TYPE((PyObject *)m);
    free(m->text);
    free(m->rows);
    free(m->slots);
    free(m->first.blocks);
    free(m->later.blocks);
    free(m->open.blocks);
    free(m->inner.blocks);
    free(m->anchored);
    free(m->aliases);
    free(m->needs_at);
    free(m->needs);
    free(m->programs);
    free(m->exacts);
    free(m->terms);
    free(m->entities);
    free(m->labels);
    free(m->fields);
    free_scratch(m->idle);
    Py_XDECREF(m->kept);
    PyObject_Free(m);
    Py_DECREF(type);
}
