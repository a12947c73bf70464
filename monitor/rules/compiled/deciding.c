/* Which topics hold, and by which places. Part of core.c. */

static int inside(const Zones *zones, int32_t first, int32_t last)
{
    int at;
    for (at = 0; at < zones->count; at++)
        if (first >= zones->low[at] && last < zones->high[at])
            return 1;
    return 0;
}

static int field_of(const Scratch *s, int32_t word)
{
    return word < s->fields.low[1] ? 0 : word < s->fields.low[2] ? 1 : 2;
}

static int is_blank(uint32_t character)
{
    return character == ' ' || (character >= 9 && character <= 13) || (character >= 28 && character <= 31) ||
           character == 0x85 || character == 0xA0;
}

/* Whether an exact text is published around the words from byte `start` to `end` (ExactText.at); -1: Python knows. */
static int stands_exactly(const Scratch *s, const Exact *exact, int32_t start, int32_t end, int32_t word)
{
    const Way *way = &s->way;
    int field = field_of(s, word), same = 1, blank = 0;
    int64_t low, high, last, at, place = 0, length = PyUnicode_GetLength(exact->text);
    int64_t whole = way->joined == NULL ? 0 : PyUnicode_GetLength(way->joined);
    if (way->origins == NULL || way->joined == NULL)
        return -1;
    low = (int64_t)way->origins[start + 1] - exact->before;
    high = (int64_t)way->origins[end - 2] + 1 + exact->after;
    last = field < 2 ? way->before[field + 1] - 3 : whole - 1;
    if (low < way->before[field])
        return 0;
    if (high > last)
        high = last;
    if (low < 0 || last > whole || high < low)
        return -1;
    for (at = low; at < high && same; at++, place++)
        same = place < length && PyUnicode_ReadChar(way->joined, at) == PyUnicode_ReadChar(exact->text, place);
    if (same && place == length)
        return 1;
    /* Runs of blanks are one, and from U+0300 on characters may be composed in other ways. */
    for (at = low, place = 0, same = 1; at < high; at++) {
        uint32_t character = PyUnicode_ReadChar(way->joined, at);
        if (character >= 0x300)
            return -1;
        if (is_blank(character)) {
            if (blank)
                continue;
            character = SPACE;
        }
        blank = character == SPACE;
        same &= place < length && PyUnicode_ReadChar(exact->text, place) == character;
        place++;
    }
    return same && place == length;
}

/* What a LEAF is made of, and an ENTITY, of which `PATTERN` is how many entities follow. */
enum { PATTERN = 1, WORDS, OPEN, TERM, EXACT, LEAF_SIZE };

static Span *new_span(Scratch *s, Span *spans, int32_t *count)
{
    if (*count == MAX_SPANS) {
        s->overflow = 1;
        return NULL;
    }
    return &spans[(*count)++];
}

/* Append the places of a leaf in the zones (NULL: everywhere). */
static void add_leaf(const Matcher *m, Scratch *s, const int32_t *leaf, const Zones *zones, Span *spans, int32_t *count)
{
    int32_t at, length;
    if (!bit(s->seen, (uint32_t)leaf[PATTERN]))
        return;
    length = length_of(m, leaf[PATTERN]);
    for (at = s->chains[leaf[PATTERN]].first; at >= 0 && !s->overflow; at = s->hits[at].next) {
        const Hit *hit = &s->hits[at];
        int32_t last = hit->word + leaf[WORDS] - 1, end = hit->start + length;
        const Exact *exact = leaf[EXACT] < 0 ? NULL : &m->exacts[leaf[EXACT]];
        Span *span;
        if (zones != NULL && !inside(zones, hit->word, last))
            continue;
        if (leaf[OPEN]) {
            const unsigned char *space = memchr(s->data + end, SPACE, (size_t)(s->size - end));
            end = space == NULL ? s->size : (int32_t)(space - s->data) + 1;
        }
        if (exact != NULL) {
            int stands = stands_exactly(s, exact, hit->start, end, hit->word);
            if (stands < 0)
                s->overflow = 1;
            if (stands <= 0)
                continue;
        }
        span = new_span(s, spans, count);
        if (span == NULL)
            return;
        span->start = hit->start;
        span->end = end;
        span->first = hit->word;
        span->last = last;
        span->before = exact == NULL ? 0 : exact->before;
        span->after = exact == NULL ? 0 : exact->after;
        span->term = m->terms + leaf[TERM];
        span->entity = &s->way.no_entity;
    }
}

static int by_place(const void *one, const void *other)
{
    const Span *a = one, *b = other;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    if (a->term != b->term)
        return PyUnicode_Compare(*a->term, *b->term);
    return a->entity == b->entity ? 0 : PyUnicode_Compare(*a->entity, *b->entity);
}

/* Find the aliases that stand in the story; of those within one another the longest (entities.longest). 0: no memory. */
static int find_names(const Matcher *m, Scratch *s)
{
    int32_t number, at, entry, kept = 0, reach = -1, widest = -1;
    s->names_known = 1;
    for (number = 0; number < s->found_count; number++) {
        int32_t pattern = s->found[number], length = length_of(m, pattern);
        if (m->rows[pattern].flags & BEGINNING)
            s->names_known = -1;
        for (entry = m->rows[pattern].named; entry < m->rows[pattern + 1].named; entry++) {
            const Alias *alias = &m->aliases[entry];
            if (alias->exact == UNTOLD)
                s->names_known = -1;
            for (at = s->chains[pattern].first; at >= 0 && s->names_known > 0; at = s->hits[at].next) {
                const Hit *hit = &s->hits[at];
                int32_t end = hit->start + length, place;
                Span *name;
                if (alias->exact >= 0) {
                    int stands = stands_exactly(s, &m->exacts[alias->exact], hit->start, end, hit->word);
                    if (stands < 0)
                        s->names_known = -1;
                    if (stands <= 0)
                        continue;
                }
                if (!grow((void **)&s->names, &s->name_room, s->name_count + 1, sizeof *s->names))
                    return 0;
                name = &s->names[s->name_count++];
                memset(name, 0, sizeof *name);
                name->start = hit->start;
                name->end = end;
                name->first = hit->word;
                for (name->last = hit->word - 1, place = hit->start; place < end - 1; place++)
                    name->last += s->data[place] == SPACE;
                name->entity = m->entities + alias->entity;
                name->term = m->terms; /* until a query names it */
            }
        }
        if (s->names_known < 0)
            return 1;
    }
    if (s->name_count)
        qsort(s->names, (size_t)s->name_count, sizeof *s->names, by_place);
    for (number = 0; number < s->name_count; number++) {
        const Span *name = &s->names[number];
        if (name->end > reach || (name->start == widest && name->end == reach)) {
            widest = name->start;
            reach = name->end;
            s->names[kept++] = *name;
        }
    }
    s->name_count = kept;
    return 1;
}

/* Append where the entities stand that the node names. */
static void add_names(const Matcher *m, Scratch *s, const int32_t *node, const Zones *zones, Span *spans, int32_t *count)
{
    int32_t number, member;
    if (!s->names_known && !find_names(m, s))
        s->names_known = -1; /* no memory: Python may have some */
    if (s->names_known < 0) {
        s->overflow = 1;
        return;
    }
    for (number = 0; number < s->name_count; number++) {
        const Span *name = &s->names[number];
        Span *span;
        if (zones != NULL && !inside(zones, name->first, name->last))
            continue;
        for (member = 0; member < node[1] && name->entity != m->entities + node[3 + member];)
            member++;
        if (member == node[1])
            continue;
        span = new_span(s, spans, count);
        if (span == NULL)
            return;
        *span = *name;
        span->term = m->terms + node[2];
    }
}

/* Append the places of a leaf of either kind; return how many numbers it takes. */
static int32_t add_either(const Matcher *m, Scratch *s, const int32_t *node, const Zones *zones, Span *spans,
                          int32_t *count)
{
    if (node[0] == LEAF) {
        add_leaf(m, s, node, zones, spans, count);
        return LEAF_SIZE;
    }
    add_names(m, s, node, zones, spans, count);
    return 3 + node[1];
}

static int by_number(const void *one, const void *other)
{
    const Span *a = one, *b = other;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return (a->last > b->last) - (a->last < b->last);
}

/* Append the places of a leaf, or of an OR of leaves, to `groups`, in order; move on to what follows. */
static void add_group(const Matcher *m, Scratch *s, const int32_t **at, const Zones *zones)
{
    const int32_t *p = *at;
    int32_t begin = s->group_count, members;
    if (p[0] != OR) {
        *at = p + add_either(m, s, p, zones, s->groups, &s->group_count);
    } else {
        *at = p + p[2];
        for (members = p[1], p += 3; members-- > 0;)
            p += add_either(m, s, p, zones, s->groups, &s->group_count);
    }
    if (s->group_count - begin > 1)
        qsort(s->groups + begin, (size_t)(s->group_count - begin), sizeof *s->groups, by_number);
}

static void show(Scratch *s, const Span *span)
{
    Span *shown = new_span(s, s->spans, &s->span_count);
    if (shown != NULL)
        *shown = *span;
}

/* Return the number of the first of the spans that begins behind word `last`. */
static int32_t behind(const Span *spans, int32_t count, int64_t last)
{
    int32_t low = 0, high = count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (spans[middle].first > last)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Append the spans of `one` that have one of `other` behind them within the distance, and those. Whether there are. */
static int add_near(Scratch *s, const Span *one, int32_t count, const Span *other, int32_t others, int32_t distance)
{
    int32_t at, near;
    int any = 0;
    for (at = 0; at < count && !s->overflow; at++) {
        int64_t reach = (int64_t)one[at].last + 1 + distance;
        near = behind(other, others, one[at].last);
        if (near == others || other[near].first > reach)
            continue;
        any = 1;
        show(s, &one[at]);
        for (; near < others && other[near].first <= reach && !s->overflow; near++)
            show(s, &other[near]);
    }
    return any;
}

static int32_t least(int32_t one, int32_t other)
{
    return one < other ? one : other;
}

static void narrow(const Scratch *s, int32_t field, Zones *zones)
{
    const Zones *all = &s->fields;
    zones->count = 1;
    zones->low[0] = all->low[field == BODY ? 2 : 0];
    zones->high[0] = all->high[field == BODY ? 2 : 0];
    if (field == LEAD) {
        int summary = all->low[1] < all->high[1];
        zones->count = 2;
        zones->low[1] = all->low[summary ? 1 : 2];
        zones->high[1] = summary ? all->high[1] : least(all->high[2], all->low[2] + LEAD_WORDS);
    }
}

static void narrow_to_first(const Scratch *s, int32_t words, Zones *zones)
{
    int field;
    *zones = s->fields;
    for (field = 0; field < 3; field++) {
        int32_t taken = least(words, zones->high[field] - zones->low[field]);
        zones->high[field] = zones->low[field] + taken;
        words -= taken;
    }
}

/* Whether the node at `at` holds; what makes it true is appended to `spans`. Moves on to what follows it. */
static int decide(const Matcher *m, Scratch *s, const int32_t **at, const Zones *zones)
{
    const int32_t *p = *at, *end;
    int32_t members, before = s->span_count, groups = s->group_count;
    Zones narrower;
    int true_ = 0;
    switch (p[0]) {
    case LEAF:
    case ENTITY:
        *at = p + add_either(m, s, p, zones, s->spans, &s->span_count);
        return s->span_count > before;
    case AND:
    case OR:
        end = p + p[2];
        *at = p + 3;
        for (members = p[1]; members-- > 0;) {
            int one = decide(m, s, at, zones);
            if (p[0] == AND && !one) {
                s->span_count = before;
                *at = end;
                return 0;
            }
            true_ |= one;
        }
        return true_;
    case NOT:
        *at = p + 1;
        true_ = !decide(m, s, at, zones);
        s->span_count = before;
        return true_;
    case NEAR: {
        int32_t second;
        *at = p + 3;
        add_group(m, s, at, zones);
        second = s->group_count;
        add_group(m, s, at, zones);
        {
            const Span *one = s->groups + groups, *other = s->groups + second;
            int32_t ones = second - groups, others = s->group_count - second;
            true_ = add_near(s, one, ones, other, others, p[1]);
            if (!p[2])
                true_ |= add_near(s, other, others, one, ones, p[1]);
        }
        s->group_count = groups;
        return true_;
    }
    case AT_LEAST: {
        int32_t distinct = 0, number;
        *at = p + 2;
        add_group(m, s, at, zones);
        for (number = groups; number < s->group_count; number++)
            distinct += number == groups || by_number(&s->groups[number - 1], &s->groups[number]) != 0;
        true_ = distinct >= p[1];
        for (number = groups; true_ && number < s->group_count; number++)
            show(s, &s->groups[number]);
        s->group_count = groups;
        return true_;
    }
    case FIELD:
        *at = p + 2;
        narrow(s, p[1], &narrower);
        return decide(m, s, at, &narrower);
    default: /* FIRST */
        *at = p + 2;
        narrow_to_first(s, p[1], &narrower);
        return decide(m, s, at, &narrower);
    }
}

/* Keep of the spans found what is shown: by place, of one term none overlapping (evaluate.shown). 0: no memory. */
static int keep_shown(const Matcher *m, Scratch *s, int32_t topic)
{
    Match *match = &s->matches[s->match_count++];
    int32_t at;
    match->topic = topic;
    match->from = s->shown_count;
    if (!grow((void **)&s->shown, &s->shown_room, s->shown_count + MAX_EVIDENCE, sizeof *s->shown))
        return 0;
    if (s->span_count > 1)
        qsort(s->spans, (size_t)s->span_count, sizeof *s->spans, by_place);
    for (at = 0; at < s->span_count && s->shown_count - match->from < MAX_EVIDENCE; at++) {
        const Span *span = &s->spans[at];
        int32_t before = s->shown_count - 1;
        while (before >= match->from &&
               (s->shown[before].term != span->term || s->shown[before].entity != span->entity))
            before--;
        /* Neighbours share the space between them. */
        if (before < match->from || span->start >= s->shown[before].end - 1) {
            s->shown[s->shown_count++] = *span;
            __builtin_prefetch(span->term);
        }
    }
    __builtin_prefetch(m->labels + 2 * (size_t)topic);
    match->to = s->shown_count;
    return 1;
}

/* Whether something was found of everything that a topic needs. */
static int has_needs(const Matcher *m, const Scratch *s, int32_t topic)
{
    const int32_t *p = m->needs + m->needs_at[topic], *end = m->needs + m->needs_at[topic + 1];
    while (p < end) {
        int32_t members = *p++;
        int any = 0;
        for (; members > 0; members--, p++)
            any |= bit(s->seen, (uint32_t)*p);
        if (!any)
            return 0;
    }
    return 1;
}

static int by_topic(const void *one, const void *other)
{
    return ((const Match *)one)->topic - ((const Match *)other)->topic;
}

/* Collect the topics that the patterns found lead to. In steps, for the sake of memory as in `settle`. */
static void ask_all(const Matcher *m, Scratch *s)
{
    int32_t number, entry;
    for (number = 0; number < s->found_count; number++)
        __builtin_prefetch(m->anchored + m->rows[s->found[number]].anchored);
    for (number = 0; number < s->found_count; number++) {
        int32_t pattern = s->found[number];
        for (entry = m->rows[pattern].anchored; entry < m->rows[pattern + 1].anchored; entry++) {
            const Anchored *one = &m->anchored[entry];
            if ((one->guard >= 0 && !bit(s->seen, (uint32_t)one->guard)) || bit(s->asked, (uint32_t)one->topic))
                continue;
            set_bit(s->asked, (uint32_t)one->topic);
            s->asking[s->asking_count++] = *one;
            if (one->program >= 0)
                __builtin_prefetch(m->programs + one->program);
        }
    }
}

/* Decide the topics that the patterns found lead to. 0: no memory. */
static int decide_all(const Matcher *m, Scratch *s)
{
    int32_t number;
    ask_all(m, s);
    for (number = 0; number < s->asking_count; number++) {
        const Anchored *one = &s->asking[number];
        if (one->program >= 0) {
            const int32_t *program = m->programs + one->program;
            int true_;
            s->overflow = 0;
            s->span_count = s->group_count = 0;
            true_ = decide(m, s, &program, NULL);
            if (!s->overflow) {
                if (true_ && !keep_shown(m, s, one->topic))
                    return 0;
                continue;
            }
            s->overflown = 1;
        }
        if (has_needs(m, s, one->topic))
            s->undecided[s->undecided_count++] = one->topic;
    }
    qsort(s->matches, (size_t)s->match_count, sizeof *s->matches, by_topic);
    return 1;
}
