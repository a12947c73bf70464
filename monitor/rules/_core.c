/* The matching of stories, compiled: folding, scanning, sifting and deciding over rows of numbers that lie side by side.

   Optional: where this is not built, or MONITOR_PURE is set, folded.py, index.py, engine.py and evaluate.py do the same
   in Python, and are the judges of it (tests/test_rules_core.py). What is rare is left to them: `fold` returns None for
   a text whose folding depends on neighbours in ways of their own, `match` names the topics that it did not decide.

   Everything is checked where it comes in (sizes, numbers, programs); what then runs trusts it. No Python code runs
   while a story is scanned and decided. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1        /* of what Python and this file say to each other; see flat.py */
#define MAX_SPANS 5000   /* evaluate.LOOKED_AT: a topic with more is decided in Python, which knows what to leave out */
#define MAX_EVIDENCE 200 /* values.MAX_EVIDENCE */
#define FIELD_GAP 1000   /* folded.FIELD_GAP */
#define LEAD_WORDS 60    /* reading.LEAD_WORDS */
#define MAX_DEPTH 50     /* of a program's nesting */
#define KEY_WORDS 8      /* a pattern is looked up by its first words, so that a story's repetitions cost no square */
#define MAX_SIZE 0x20000000 /* bytes of a story and of all patterns: places are 32 bits wide */

/* ---- folding: the numbers of folded.py */

enum { SPACE = ' ', APOSTROPHE = '\'' };
#define PLAIN ((1u << 21) - 1)
#define SPREAD (1u << 21)
#define MARK (1u << 22)
#define TWO (1u << 23)
#define NUMBER (1u << 24)
#define GONE (1u << 25)
#define ACCENT (1u << 26)
#define BY_WORDS (1u << 27)
#define UNKNOWN (1u << 28)
#define ALL_CHARACTERS 0x110000

/* Read one character of valid UTF-8, which PyUnicode_AsUTF8AndSize gives. */
static uint32_t read_character(const unsigned char **at)
{
    const unsigned char *p = *at;
    if (p[0] < 0x80) {
        *at = p + 1;
        return p[0];
    }
    if (p[0] < 0xE0) {
        *at = p + 2;
        return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    }
    if (p[0] < 0xF0) {
        *at = p + 3;
        return (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    }
    *at = p + 4;
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
}

static int write_character(unsigned char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (unsigned char)(0xC0 | c >> 6);
        to[1] = (unsigned char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (unsigned char)(0xE0 | c >> 12);
        to[1] = (unsigned char)(0x80 | (c >> 6 & 0x3F));
        to[2] = (unsigned char)(0x80 | (c & 0x3F));
        return 3;
    }
    to[0] = (unsigned char)(0xF0 | c >> 18);
    to[1] = (unsigned char)(0x80 | (c >> 12 & 0x3F));
    to[2] = (unsigned char)(0x80 | (c >> 6 & 0x3F));
    to[3] = (unsigned char)(0x80 | (c & 0x3F));
    return 4;
}

typedef struct {
    unsigned char *bytes;
    int32_t *origins; /* of each byte: the character that it came from */
    Py_ssize_t length;
    int apart; /* whether what comes next is another word */
} Output;

static void put(Output *out, uint32_t character, Py_ssize_t origin)
{
    int width = write_character(out->bytes + out->length, character);
    while (width-- > 0)
        out->origins[out->length++] = (int32_t)origin;
}

static void put_letter(Output *out, uint32_t character, Py_ssize_t origin)
{
    if (out->apart && out->length > 1) /* the first space is there from the beginning */
        put(out, SPACE, origin);
    out->apart = 0;
    put(out, character, origin);
}

/* Whether the s behind the apostrophe at `at` is a possessive's. -1: its neighbours are such that words() must tell. */
static int possessive(const uint32_t *codes, Py_ssize_t count, Py_ssize_t at)
{
    uint32_t before, after;
    if (at < 1 || at + 2 >= count || codes[at + 1] != 's')
        return 0;
    before = codes[at - 1];
    after = codes[at + 2];
    if ((before | after) & (GONE | ACCENT | MARK))
        return -1;
    return (before > PLAIN || before > APOSTROPHE) &&
           (after == SPACE || after == APOSTROPHE || (after & (SPREAD | NUMBER)));
}

/* Write the folded words; 0: only words() knows them. */
static int fold_codes(const uint32_t *codes, Py_ssize_t count, Output *out, int *gone)
{
    Py_ssize_t at, dropped = -1;
    put(out, SPACE, 0);
    for (at = 0; at < count; at++) {
        uint32_t code = codes[at], before = at ? codes[at - 1] : SPACE;
        if (code == APOSTROPHE) {
            int is = possessive(codes, count, at);
            if (is < 0)
                return 0;
            if (is)
                dropped = at + 1;
            out->apart = 1;
        } else if (code == SPACE || code == NUMBER || at == dropped) {
            out->apart = 1;
        } else if (code <= PLAIN) {
            put_letter(out, code, at);
        } else if (code & GONE) {
            *gone = 1;
        } else if (code & ACCENT) {
            if (before <= APOSTROPHE || before > 127)
                return 0;
            *gone = 1;
        } else if (code & MARK) {
            if (before == SPACE || before == 0 || before == APOSTROPHE || before == NUMBER || at - 1 == dropped)
                return 0;
            put(out, code & PLAIN, at);
        } else if (code & TWO) {
            put_letter(out, code & 0xFF, at);
            put(out, code >> 8 & 0xFF, at);
        } else {
            out->apart = 1;
            put_letter(out, code & PLAIN, at);
            out->apart = 1;
        }
    }
    if (out->bytes[out->length - 1] != SPACE)
        put(out, SPACE, count - 1);
    return 1;
}

PyDoc_STRVAR(fold_doc, "fold(joined, meanings)\n--\n\n"
                       "Return the folded words in UTF-8, the character of each byte (32 bits each), whether some were\n"
                       "dropped, and whether there are marks; None where only `words` knows.");

static PyObject *fold(PyObject *module, PyObject *args)
{
    PyObject *text, *result = NULL;
    Py_buffer table;
    const char *utf8;
    const unsigned char *from, *end;
    const uint32_t *meanings;
    uint32_t *codes = NULL, bits = 0;
    Py_ssize_t size, count = 0, room;
    Output out = {NULL, NULL, 0, 0};
    int gone = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "Uy*", &text, &table))
        return NULL;
    if (table.len != (Py_ssize_t)(ALL_CHARACTERS * sizeof(uint32_t))) {
        PyBuffer_Release(&table);
        PyErr_SetString(PyExc_ValueError, "one meaning is wanted for every character");
        return NULL;
    }
    meanings = table.buf;
    utf8 = PyUnicode_AsUTF8AndSize(text, &size);
    if (utf8 == NULL) { /* half a surrogate pair: UTF-8 has no such thing */
        PyBuffer_Release(&table);
        if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            return NULL;
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    if (size > MAX_SIZE) {
        PyBuffer_Release(&table);
        Py_RETURN_NONE;
    }
    /* A character makes a space and itself at most: two bytes of one, five of two and more. */
    room = 3 * size + 8;
    codes = malloc((size_t)(size + 1) * sizeof *codes);
    out.bytes = malloc((size_t)room);
    out.origins = malloc((size_t)room * sizeof *out.origins);
    if (codes == NULL || out.bytes == NULL || out.origins == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    from = (const unsigned char *)utf8;
    for (end = from + size; from < end;) {
        uint32_t code = meanings[read_character(&from)];
        codes[count++] = code;
        bits |= code;
    }
    if (count == 0 || bits & (BY_WORDS | UNKNOWN) || (bits & MARK && bits & (GONE | ACCENT)) ||
        !fold_codes(codes, count, &out, &gone)) {
        result = Py_None;
        Py_INCREF(result);
    } else {
        result = Py_BuildValue("y#y#ii", out.bytes, out.length, (const char *)out.origins,
                               out.length * (Py_ssize_t)sizeof *out.origins, gone, (bits & MARK) != 0);
    }
done:
    free(codes);
    free(out.bytes);
    free(out.origins);
    PyBuffer_Release(&table);
    return result;
}

/* ---- a matcher: patterns in a hash table, topics as rows of numbers */

enum { LEAF, AND, OR, NOT, NEAR, AT_LEAST, FIELD, FIRST }; /* flat.py writes them */
enum { TITLE, LEAD, BODY };

typedef struct {
    uint32_t tag;
    int32_t pattern; /* the first of those with this tag and key, -1: free */
} Slot;

typedef struct {
    uint64_t *bits;
    int shift;
} Filter;

typedef struct {
    int32_t pattern, words, open, term;
} LeafRow;

typedef struct {
    int32_t topic, guard; /* guard: a pattern that must be found too, or -1 */
} Anchored;

typedef struct {
    int32_t pattern, start, word, next;
} Hit;

typedef struct {
    int32_t start, end, first, last;
    PyObject *term; /* borrowed from the matcher */
} Span;

typedef struct {
    int32_t topic, from, to; /* its evidence in `shown` */
} Match;

typedef struct {
    int count;
    int32_t low[3], high[3]; /* numbers of words: from, up to but not including */
} Zones;

/* What a story is matched in. Every array is as long as it can get, or grows. */
typedef struct {
    uint64_t *seen, *asked;        /* bits: of patterns found, of topics met */
    int32_t *head, *tail;          /* by pattern, where it was seen: its first and last hit */
    int32_t *found, found_count;   /* patterns, each once */
    int32_t *topics, topic_count;  /* met */
    int32_t *undecided, undecided_count;
    Hit *hits;
    int32_t hit_count, hit_room;
    Span *spans, *groups; /* MAX_SPANS each */
    int32_t span_count, group_count;
    int overflow; /* whether a topic has more spans than these */
    int overflown; /* whether any had: Python decides it and may ask for any pattern's places */
    Match *matches;
    int32_t match_count;
    Span *shown;
    int32_t shown_count, shown_room;
    const unsigned char *data;
    int32_t size;
    Zones fields; /* words of title, summary and body */
} Scratch;

typedef struct {
    PyObject_HEAD
    int32_t patterns, topics, leaves;
    unsigned char *text; /* all patterns, one behind the other */
    int32_t *text_at, *next;
    Slot *slots;
    int slot_shift;
    Filter closed, going_on, open, inner; /* what may be a whole key; a key's first words; an open end; inside a word */
    uint64_t open_lengths;                /* bit n: a key with an open end has n bytes; the last bit: that many or more */
    int32_t inner_longest;                /* bytes; 0: no pattern begins inside a word */
    int32_t *anchored_at;
    Anchored *anchored;
    int32_t *needs_at, *needs; /* by topic: sets of patterns, each as its size and its members */
    int32_t *program_at, *programs;
    LeafRow *leaf_rows;
    unsigned char *wanted; /* by pattern: whether Python may ask for its places */
    PyObject *terms, *names, *versions, *evidence_type, *match_type, *fields;
    Scratch *idle;
    int ready;
} Matcher;

static int bit(const uint64_t *bits, uint32_t at)
{
    return bits[at >> 6] >> (at & 63) & 1;
}

static void set_bit(uint64_t *bits, uint32_t at)
{
    bits[at >> 6] |= (uint64_t)1 << (at & 63);
}

#define SEED 0x243F6A8885A308D3u

static uint64_t hashed(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 0x9E3779B97F4A7C15u;
}

static uint64_t hash_of(const unsigned char *bytes, int32_t size)
{
    uint64_t hash = SEED;
    while (size-- > 0)
        hash = hashed(hash, *bytes++);
    return hash;
}

static int may_hold(const Filter *filter, uint64_t hash)
{
    return bit(filter->bits, (uint32_t)(hash >> filter->shift));
}

static void note(Filter *filter, uint64_t hash)
{
    set_bit(filter->bits, (uint32_t)(hash >> filter->shift));
}

/* Return how far a hash is shifted to number 2 to the power of so many bits: at least `least` numbers, and 64. */
static int shift_for(int64_t least)
{
    int power = 6;
    while (((int64_t)1 << power) < least && power < 31)
        power++;
    return 64 - power;
}

static int make_filter(Filter *filter, int64_t keys)
{
    filter->shift = shift_for(8 * keys);
    filter->bits = calloc((size_t)1 << (64 - filter->shift - 6), sizeof *filter->bits);
    return filter->bits != NULL;
}

/* ---- scanning */

static int add_hit(Scratch *s, int32_t pattern, int32_t start, int32_t word)
{
    Hit *hit;
    if (s->hit_count == s->hit_room) {
        int32_t room = s->hit_room * 2;
        Hit *grown = room > 0 ? realloc(s->hits, (size_t)room * sizeof *grown) : NULL;
        if (grown == NULL)
            return 0;
        s->hits = grown;
        s->hit_room = room;
    }
    if (!bit(s->seen, (uint32_t)pattern)) {
        set_bit(s->seen, (uint32_t)pattern);
        s->found[s->found_count++] = pattern;
        s->head[pattern] = s->hit_count;
    } else {
        if (s->hits[s->tail[pattern]].start == start) /* two keys with one hash */
            return 1;
        s->hits[s->tail[pattern]].next = s->hit_count;
    }
    s->tail[pattern] = s->hit_count;
    hit = &s->hits[s->hit_count++];
    hit->pattern = pattern;
    hit->start = start;
    hit->word = word;
    hit->next = -1;
    return 1;
}

/* Note the patterns whose key has this hash and that stand at `start`. */
static int look_up(const Matcher *m, Scratch *s, uint64_t hash, int32_t start, int32_t word)
{
    uint32_t mask = ((uint32_t)1 << (64 - m->slot_shift)) - 1, at = (uint32_t)(hash >> m->slot_shift);
    uint32_t tag = (uint32_t)(hash >> 16);
    for (; m->slots[at].pattern >= 0; at = (at + 1) & mask) {
        int32_t pattern;
        if (m->slots[at].tag != tag)
            continue;
        for (pattern = m->slots[at].pattern; pattern >= 0; pattern = m->next[pattern]) {
            int32_t length = m->text_at[pattern + 1] - m->text_at[pattern];
            if (length <= s->size - start && !memcmp(m->text + m->text_at[pattern], s->data + start, (size_t)length) &&
                !add_hit(s, pattern, start, word))
                return 0;
        }
        return 1;
    }
    return 1;
}

/* Find the patterns that begin with the word behind the space at `start`; set `next` to the space behind that word. */
static int scan_word(const Matcher *m, Scratch *s, int32_t start, int32_t word, int32_t *next)
{
    const unsigned char *data = s->data;
    const uint64_t lengths = m->open_lengths;
    uint64_t hash = hashed(SEED, SPACE);
    int32_t at = start + 1, size = s->size;
    int words;
    *next = size;
    for (words = 1;; words++) {
        while (at < size && data[at] != SPACE) {
            int32_t length;
            hash = hashed(hash, data[at++]);
            length = at - start;
            if (lengths >> (length < 63 ? length : 63) & 1 && may_hold(&m->open, hash) &&
                !look_up(m, s, hash, start, word))
                return 0;
        }
        if (words == 1)
            *next = at;
        if (at >= size)
            return 1;
        hash = hashed(hash, SPACE);
        if (may_hold(&m->closed, hash) && !look_up(m, s, hash, start, word))
            return 0;
        if (words == KEY_WORDS || !may_hold(&m->going_on, hash))
            return 1;
        at++;
    }
}

/* Find the patterns that may begin anywhere: at each byte, what follows it in its word. */
static int scan_inside(const Matcher *m, Scratch *s)
{
    const unsigned char *data = s->data;
    int32_t start, at;
    for (start = 0; start + 2 < s->size; start++) {
        if (!may_hold(&m->inner, hash_of(data + start, 2)))
            continue;
        uint64_t hash = SEED;
        for (at = start; at < s->size && data[at] != SPACE && at - start < m->inner_longest;) {
            hash = hashed(hash, data[at++]);
            if (may_hold(&m->open, hash) && !look_up(m, s, hash, start, 0))
                return 0;
        }
    }
    return 1;
}

/* Find all patterns in the data. 0: no memory. */
static int scan(const Matcher *m, Scratch *s, const unsigned char *data, int32_t size)
{
    int32_t at = 0, word = 0, field = 0;
    s->data = data;
    s->size = size;
    memset(&s->fields, 0, sizeof s->fields);
    s->fields.count = 3;
    while (at + 1 < size) {
        if (data[at + 1] == 0) { /* between two fields */
            if (field < 2) {
                s->fields.high[field++] = word;
                word += FIELD_GAP;
                s->fields.low[field] = word;
            }
            at += 2;
        } else if (!scan_word(m, s, at, word++, &at)) {
            return 0;
        }
    }
    s->fields.high[field] = word;
    return !m->inner_longest || scan_inside(m, s);
}

/* ---- deciding */

static int inside(const Zones *zones, int32_t first, int32_t last)
{
    int at;
    for (at = 0; at < zones->count; at++)
        if (first >= zones->low[at] && last < zones->high[at])
            return 1;
    return 0;
}

/* Append the places of a leaf in the zones (NULL: everywhere). */
static void add_leaf(const Matcher *m, Scratch *s, const LeafRow *leaf, const Zones *zones, Span *spans, int32_t *count)
{
    int32_t at, length;
    PyObject *term;
    if (!bit(s->seen, (uint32_t)leaf->pattern))
        return;
    length = m->text_at[leaf->pattern + 1] - m->text_at[leaf->pattern];
    term = PyTuple_GetItem(m->terms, leaf->term);
    for (at = s->head[leaf->pattern]; at >= 0; at = s->hits[at].next) {
        const Hit *hit = &s->hits[at];
        int32_t last = hit->word + leaf->words - 1, end = hit->start + length;
        Span *span;
        if (zones != NULL && !inside(zones, hit->word, last))
            continue;
        if (*count == MAX_SPANS) {
            s->overflow = 1;
            return;
        }
        if (leaf->open) {
            const unsigned char *space = memchr(s->data + end, SPACE, (size_t)(s->size - end));
            end = space == NULL ? s->size : (int32_t)(space - s->data) + 1;
        }
        span = &spans[(*count)++];
        span->start = hit->start;
        span->end = end;
        span->first = hit->word;
        span->last = last;
        span->term = term;
    }
}

static int by_number(const void *one, const void *other)
{
    const Span *a = one, *b = other;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return (a->last > b->last) - (a->last < b->last);
}

static int by_place(const void *one, const void *other)
{
    const Span *a = one, *b = other;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    return a->term == b->term ? 0 : PyUnicode_Compare(a->term, b->term);
}

/* Append the places of a leaf, or of an OR of leaves, to `groups`, in order; move on to what follows. */
static void add_group(const Matcher *m, Scratch *s, const int32_t **at, const Zones *zones)
{
    const int32_t *p = *at;
    int32_t begin = s->group_count, members;
    if (p[0] == LEAF) {
        add_leaf(m, s, &m->leaf_rows[p[1]], zones, s->groups, &s->group_count);
        *at = p + 2;
        return;
    }
    *at = p + p[2];
    members = p[1];
    for (p += 3; members-- > 0; p += 2)
        add_leaf(m, s, &m->leaf_rows[p[1]], zones, s->groups, &s->group_count);
    qsort(s->groups + begin, (size_t)(s->group_count - begin), sizeof *s->groups, by_number);
}

static void show(Scratch *s, const Span *span)
{
    if (s->span_count == MAX_SPANS)
        s->overflow = 1;
    else
        s->spans[s->span_count++] = *span;
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
        *at = p + 2;
        add_leaf(m, s, &m->leaf_rows[p[1]], zones, s->spans, &s->span_count);
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
static int keep_shown(Scratch *s, int32_t topic)
{
    Match *match = &s->matches[s->match_count++];
    int32_t at;
    match->topic = topic;
    match->from = s->shown_count;
    if (s->shown_room - s->shown_count < MAX_EVIDENCE) {
        int32_t room = s->shown_room < INT32_MAX / 4 ? s->shown_room * 2 + MAX_EVIDENCE : 0;
        Span *grown = room ? realloc(s->shown, (size_t)room * sizeof *grown) : NULL;
        if (grown == NULL)
            return 0;
        s->shown = grown;
        s->shown_room = room;
    }
    if (s->span_count > 1)
        qsort(s->spans, (size_t)s->span_count, sizeof *s->spans, by_place);
    for (at = 0; at < s->span_count && s->shown_count - match->from < MAX_EVIDENCE; at++) {
        const Span *span = &s->spans[at];
        int32_t before = s->shown_count - 1;
        while (before >= match->from && s->shown[before].term != span->term)
            before--;
        /* Neighbours share the space between them. */
        if (before < match->from || span->start >= s->shown[before].end - 1)
            s->shown[s->shown_count++] = *span;
    }
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

/* Decide the topics that the patterns found lead to. 0: no memory. */
static int decide_all(const Matcher *m, Scratch *s)
{
    int32_t number, entry;
    for (number = 0; number < s->found_count; number++) {
        int32_t pattern = s->found[number];
        for (entry = m->anchored_at[pattern]; entry < m->anchored_at[pattern + 1]; entry++) {
            int32_t topic = m->anchored[entry].topic, guard = m->anchored[entry].guard;
            const int32_t *program;
            if ((guard >= 0 && !bit(s->seen, (uint32_t)guard)) || bit(s->asked, (uint32_t)topic))
                continue;
            set_bit(s->asked, (uint32_t)topic);
            s->topics[s->topic_count++] = topic;
            s->overflow = 0;
            if (m->program_at[topic] >= 0) {
                int true_;
                program = m->programs + m->program_at[topic];
                s->span_count = s->group_count = 0;
                true_ = decide(m, s, &program, NULL);
                if (!s->overflow) {
                    if (true_ && !keep_shown(s, topic))
                        return 0;
                    continue;
                }
                s->overflown = 1;
            }
            if (has_needs(m, s, topic))
                s->undecided[s->undecided_count++] = topic;
        }
    }
    qsort(s->matches, (size_t)s->match_count, sizeof *s->matches, by_topic);
    return 1;
}

/* ---- what is told to Python */

static PyObject *new_tuple(PyObject *type, PyObject *values)
{
    /* Of a NamedTuple without its __new__, which is Python: tuple's own takes the values as they are. */
    static newfunc make = NULL;
    PyObject *arguments, *made;
    if (make == NULL)
        make = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    if (values == NULL)
        return NULL;
    arguments = PyTuple_Pack(1, values);
    Py_DECREF(values);
    if (arguments == NULL)
        return NULL;
    made = make((PyTypeObject *)type, arguments, NULL);
    Py_DECREF(arguments);
    return made;
}

typedef struct {
    const int32_t *origins; /* NULL: `place` is asked */
    int32_t before[3];
    PyObject *place, *no_entity;
} Way;

static PyObject *evidence(const Matcher *m, const Scratch *s, const Span *span, const Way *way)
{
    PyObject *values = PyTuple_New(5), *field = NULL, *low = NULL, *high = NULL;
    if (values == NULL)
        return NULL;
    if (way->origins != NULL) {
        int number = span->first < s->fields.low[1] ? 0 : span->first < s->fields.low[2] ? 1 : 2;
        field = PyTuple_GetItem(m->fields, number);
        Py_INCREF(field);
        low = PyLong_FromLong(way->origins[span->start + 1] - way->before[number]);
        high = PyLong_FromLong(way->origins[span->end - 2] + 1 - way->before[number]);
    } else {
        PyObject *place = PyObject_CallFunction(way->place, "ii", span->start, span->end);
        if (place != NULL && PyTuple_Check(place) && PyTuple_Size(place) == 3) {
            field = PyTuple_GetItem(place, 0);
            low = PyTuple_GetItem(place, 1);
            high = PyTuple_GetItem(place, 2);
            Py_INCREF(field);
            Py_INCREF(low);
            Py_INCREF(high);
        } else if (place != NULL) {
            PyErr_SetString(PyExc_TypeError, "a place is a field and two numbers");
        }
        Py_XDECREF(place);
    }
    if (field == NULL || low == NULL || high == NULL) {
        Py_XDECREF(field);
        Py_XDECREF(low);
        Py_XDECREF(high);
        Py_DECREF(values);
        return NULL;
    }
    PyTuple_SetItem(values, 0, field);
    PyTuple_SetItem(values, 1, low);
    PyTuple_SetItem(values, 2, high);
    Py_INCREF(span->term);
    PyTuple_SetItem(values, 3, span->term);
    Py_INCREF(way->no_entity);
    PyTuple_SetItem(values, 4, way->no_entity);
    return new_tuple(m->evidence_type, values);
}

static PyObject *topic_match(const Matcher *m, const Scratch *s, const Match *match, const Way *way)
{
    PyObject *values, *name, *version, *all = PyTuple_New(match->to - match->from);
    int32_t at;
    if (all == NULL)
        return NULL;
    for (at = match->from; at < match->to; at++) {
        PyObject *one = evidence(m, s, &s->shown[at], way);
        if (one == NULL) {
            Py_DECREF(all);
            return NULL;
        }
        PyTuple_SetItem(all, at - match->from, one);
    }
    name = PyTuple_GetItem(m->names, match->topic);
    version = PyTuple_GetItem(m->versions, match->topic);
    values = PyTuple_Pack(3, name, version, all);
    Py_DECREF(all);
    return new_tuple(m->match_type, values);
}

static PyObject *numbers(const int32_t *from, int32_t count)
{
    PyObject *list = PyList_New(count);
    int32_t at;
    for (at = 0; list != NULL && at < count; at++) {
        PyObject *number = PyLong_FromLong(from[at]);
        if (number == NULL)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, at, number);
    }
    return list;
}

/* Return the places found of the patterns that Python may ask for, or of all: {number: [(number, start, end), ...]}. */
static PyObject *places(const Matcher *m, const Scratch *s, int all)
{
    PyObject *found = PyDict_New();
    int32_t number, at;
    for (number = 0; found != NULL && number < s->found_count; number++) {
        int32_t pattern = s->found[number], length = m->text_at[pattern + 1] - m->text_at[pattern];
        PyObject *list, *key;
        int failed = 0;
        if (!all && !m->wanted[pattern])
            continue;
        list = PyList_New(0);
        key = PyLong_FromLong(pattern);
        for (at = s->head[pattern]; list && key && !failed && at >= 0; at = s->hits[at].next) {
            PyObject *hit = Py_BuildValue("Oii", key, s->hits[at].start, s->hits[at].start + length);
            failed = hit == NULL || PyList_Append(list, hit) < 0;
            Py_XDECREF(hit);
        }
        if (failed || list == NULL || key == NULL || PyDict_SetItem(found, key, list) < 0)
            Py_CLEAR(found);
        Py_XDECREF(list);
        Py_XDECREF(key);
    }
    return found;
}

/* ---- scratch: one is kept for the next story; who comes meanwhile (a finalizer, another thread) makes another */

static void free_scratch(Scratch *s)
{
    if (s == NULL)
        return;
    free(s->seen);
    free(s->asked);
    free(s->head);
    free(s->tail);
    free(s->found);
    free(s->topics);
    free(s->undecided);
    free(s->hits);
    free(s->spans);
    free(s->groups);
    free(s->matches);
    free(s->shown);
    free(s);
}

static Scratch *take_scratch(Matcher *m)
{
    Scratch *s = m->idle;
    if (!m->ready) {
        PyErr_SetString(PyExc_ValueError, "a matcher without rules");
        return NULL;
    }
    size_t patterns = (size_t)m->patterns + 1, topics = (size_t)m->topics + 1;
    if (s != NULL) {
        m->idle = NULL;
        return s;
    }
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return (Scratch *)PyErr_NoMemory();
    s->hit_room = 256;
    s->shown_room = 4 * MAX_EVIDENCE;
    s->seen = calloc(patterns / 64 + 1, sizeof *s->seen);
    s->asked = calloc(topics / 64 + 1, sizeof *s->asked);
    s->head = malloc(patterns * sizeof *s->head);
    s->tail = malloc(patterns * sizeof *s->tail);
    s->found = malloc(patterns * sizeof *s->found);
    s->topics = malloc(topics * sizeof *s->topics);
    s->undecided = malloc(topics * sizeof *s->undecided);
    s->hits = malloc((size_t)s->hit_room * sizeof *s->hits);
    s->spans = malloc(MAX_SPANS * sizeof *s->spans);
    s->groups = malloc(MAX_SPANS * sizeof *s->groups);
    s->matches = malloc(topics * sizeof *s->matches);
    s->shown = malloc((size_t)s->shown_room * sizeof *s->shown);
    if (!s->seen || !s->asked || !s->head || !s->tail || !s->found || !s->topics || !s->undecided || !s->hits ||
        !s->spans || !s->groups || !s->matches || !s->shown) {
        free_scratch(s);
        return (Scratch *)PyErr_NoMemory();
    }
    return s;
}

static void give_back(Matcher *m, Scratch *s)
{
    int32_t at;
    for (at = 0; at < s->found_count; at++)
        s->seen[s->found[at] >> 6] = 0;
    for (at = 0; at < s->topic_count; at++)
        s->asked[s->topics[at] >> 6] = 0;
    s->overflown = 0;
    s->found_count = s->topic_count = s->undecided_count = s->hit_count = s->match_count = s->shown_count = 0;
    if (m->idle == NULL && s->hit_room < 1 << 16)
        m->idle = s;
    else
        free_scratch(s);
}

PyDoc_STRVAR(match_doc, "match(data, origins, before, place)\n--\n\n"
                        "Return the numbers of the topics that hold, ascending, and their TopicMatches; the numbers of\n"
                        "those that may hold; and, where there are any, the places of the patterns that these may ask for.");

static PyObject *matcher_match(Matcher *m, PyObject *args)
{
    const char *data;
    Py_ssize_t size;
    PyObject *origins, *result = NULL, *matched = NULL, *held = NULL, *open = NULL, *hits = NULL;
    Py_buffer map = {0};
    Way way = {0};
    Scratch *s;
    int32_t at;
    if (!PyArg_ParseTuple(args, "y#O(iii)O", &data, &size, &origins, &way.before[0], &way.before[1], &way.before[2],
                          &way.place))
        return NULL;
    if (size > MAX_SIZE || size < 1 || data[0] != ' ' || data[size - 1] != ' ') {
        PyErr_SetString(PyExc_ValueError, "no folded story");
        return NULL;
    }
    if (origins != Py_None) {
        if (PyObject_GetBuffer(origins, &map, PyBUF_SIMPLE) < 0)
            return NULL;
        if (map.len != size * (Py_ssize_t)sizeof(int32_t)) {
            PyBuffer_Release(&map);
            PyErr_SetString(PyExc_ValueError, "one origin is wanted for every byte");
            return NULL;
        }
        way.origins = map.buf;
    }
    s = take_scratch(m);
    if (s == NULL)
        goto released;
    if (!scan(m, s, (const unsigned char *)data, (int32_t)size) || !decide_all(m, s)) {
        PyErr_NoMemory();
        goto done;
    }
    way.no_entity = PyUnicode_FromStringAndSize("", 0);
    matched = PyList_New(s->match_count);
    held = PyList_New(s->match_count);
    if (way.no_entity == NULL || matched == NULL || held == NULL)
        goto done;
    for (at = 0; at < s->match_count; at++) {
        PyObject *number = PyLong_FromLong(s->matches[at].topic), *match = topic_match(m, s, &s->matches[at], &way);
        if (number == NULL || match == NULL) {
            Py_XDECREF(number);
            Py_XDECREF(match);
            goto done;
        }
        PyList_SetItem(held, at, number);
        PyList_SetItem(matched, at, match);
    }
    open = numbers(s->undecided, s->undecided_count);
    if (s->undecided_count) {
        hits = places(m, s, s->overflown);
    } else {
        hits = Py_None;
        Py_INCREF(hits);
    }
    if (open != NULL && hits != NULL)
        result = PyTuple_Pack(4, held, matched, open, hits);
done:
    give_back(m, s);
    Py_XDECREF(way.no_entity);
    Py_XDECREF(matched);
    Py_XDECREF(held);
    Py_XDECREF(open);
    Py_XDECREF(hits);
released:
    if (map.obj != NULL)
        PyBuffer_Release(&map);
    return result;
}

PyDoc_STRVAR(places_doc, "places(data)\n--\n\nReturn where each pattern stands that is found in a folded story.");

static PyObject *matcher_places(Matcher *m, PyObject *args)
{
    const char *data;
    Py_ssize_t size;
    PyObject *found = NULL;
    Scratch *s;
    if (!PyArg_ParseTuple(args, "y#", &data, &size))
        return NULL;
    if (size > MAX_SIZE) {
        PyErr_SetString(PyExc_ValueError, "no folded story");
        return NULL;
    }
    s = take_scratch(m);
    if (s == NULL)
        return NULL;
    if (scan(m, s, (const unsigned char *)data, (int32_t)size))
        found = places(m, s, 1);
    else
        PyErr_NoMemory();
    give_back(m, s);
    return found;
}

/* ---- making a matcher */

/* Copy an array of 32-bit numbers. */
static int copy_numbers(PyObject *from, int32_t **to, Py_ssize_t *count)
{
    Py_buffer view;
    if (PyObject_GetBuffer(from, &view, PyBUF_SIMPLE) < 0)
        return 0;
    *count = view.len / (Py_ssize_t)sizeof **to;
    *to = malloc((size_t)view.len + sizeof **to);
    if (*to == NULL || *count > MAX_SIZE) {
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

/* Return how many bytes of a pattern are its key, and note its words' ends on the way. */
static int32_t key_length(Matcher *m, const unsigned char *text, int32_t length)
{
    uint64_t hash = SEED;
    int32_t at, words = 0;
    for (at = 0; at < length; at++) {
        hash = hashed(hash, text[at]);
        if (text[at] != SPACE || at == 0)
            continue;
        if (++words == KEY_WORDS || at == length - 1)
            return at + 1;
        note(&m->going_on, hash);
    }
    return length;
}

static int enter(Matcher *m, int32_t pattern)
{
    const unsigned char *text = m->text + m->text_at[pattern];
    int32_t length = m->text_at[pattern + 1] - m->text_at[pattern], size;
    uint32_t mask = ((uint32_t)1 << (64 - m->slot_shift)) - 1, at, tag;
    uint64_t hash;
    if (length < 2 || memchr(text, 0, (size_t)length) != NULL)
        return refuse("a pattern is no words");
    size = key_length(m, text, length);
    hash = hash_of(text, size);
    if (text[size - 1] == SPACE) {
        note(&m->closed, hash);
    } else {
        note(&m->open, hash);
        m->open_lengths |= (uint64_t)1 << (size < 63 ? size : 63);
    }
    if (text[0] != SPACE) {
        if (memchr(text, SPACE, (size_t)length) != NULL)
            return refuse("a pattern that begins anywhere is more than one word");
        note(&m->inner, hash_of(text, 2));
        if (length > m->inner_longest)
            m->inner_longest = length;
    }
    tag = (uint32_t)(hash >> 16);
    for (at = (uint32_t)(hash >> m->slot_shift); m->slots[at].pattern >= 0 && m->slots[at].tag != tag;)
        at = (at + 1) & mask;
    m->next[pattern] = m->slots[at].pattern;
    m->slots[at].pattern = pattern;
    m->slots[at].tag = tag;
    return 1;
}

static int enter_patterns(Matcher *m, PyObject *patterns)
{
    Py_ssize_t at, count = PyList_Size(patterns), size = 0, keys = 0;
    int64_t slots;
    if (count > MAX_SIZE / 32)
        return refuse("too many patterns");
    m->patterns = (int32_t)count;
    for (at = 0; at < count; at++) {
        char *text;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GetItem(patterns, at), &text, &length) < 0)
            return 0;
        if (length > MAX_SIZE || (size += length) > MAX_SIZE)
            return refuse("patterns are too long");
    }
    m->text = malloc((size_t)size + 1);
    m->text_at = malloc((size_t)(count + 1) * sizeof *m->text_at);
    m->next = malloc((size_t)(count + 1) * sizeof *m->next);
    m->slot_shift = shift_for(2 * (int64_t)count);
    slots = (int64_t)1 << (64 - m->slot_shift);
    m->slots = malloc((size_t)slots * sizeof *m->slots);
    if (!m->text || !m->text_at || !m->next || !m->slots)
        return PyErr_NoMemory() != NULL;
    memset(m->slots, 0xFF, (size_t)slots * sizeof *m->slots);
    m->text_at[0] = 0;
    for (at = 0; at < count; at++) {
        char *text;
        Py_ssize_t length, place;
        int words = 0;
        if (PyBytes_AsStringAndSize(PyList_GetItem(patterns, at), &text, &length) < 0)
            return 0;
        memcpy(m->text + m->text_at[at], text, (size_t)length);
        m->text_at[at + 1] = m->text_at[at] + (int32_t)length;
        for (place = 1; place + 1 < length && words < KEY_WORDS; place++)
            words += text[place] == SPACE;
        keys += words;
    }
    if (!make_filter(&m->closed, count) || !make_filter(&m->open, count / 4) || !make_filter(&m->inner, 0) ||
        !make_filter(&m->going_on, keys))
        return PyErr_NoMemory() != NULL;
    for (at = 0; at < count; at++)
        if (!enter(m, (int32_t)at))
            return 0;
    return 1;
}

/* Lay out by pattern the topics that it leads to. `pairs`: pattern, topic. */
static int enter_anchors(Matcher *m, const int32_t *pairs, Py_ssize_t count, const int32_t *guards)
{
    Py_ssize_t at;
    m->anchored_at = calloc((size_t)m->patterns + 2, sizeof *m->anchored_at);
    m->anchored = malloc((size_t)(count + 1) * sizeof *m->anchored);
    if (!m->anchored_at || !m->anchored)
        return PyErr_NoMemory() != NULL;
    for (at = 0; at < count; at++) {
        if (pairs[2 * at] < 0 || pairs[2 * at] >= m->patterns || pairs[2 * at + 1] < 0 || pairs[2 * at + 1] >= m->topics)
            return refuse("an anchor is out of range");
        m->anchored_at[pairs[2 * at] + 2]++;
    }
    for (at = 2; at < (Py_ssize_t)m->patterns + 2; at++)
        m->anchored_at[at] += m->anchored_at[at - 1];
    for (at = 0; at < count; at++) {
        Anchored *one = &m->anchored[m->anchored_at[pairs[2 * at] + 1]++];
        one->topic = pairs[2 * at + 1];
        one->guard = guards[one->topic];
        if (one->guard < -1 || one->guard >= m->patterns)
            return refuse("a guard is out of range");
    }
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

/* Return how many numbers the node at `at` takes, 0 for one that is none. `group`: a LEAF, or an OR of LEAFs. */
static int32_t check_node(const Matcher *m, const int32_t *at, int32_t room, int depth, int group)
{
    int32_t taken = 3, one, member;
    if (depth > MAX_DEPTH || room < 2)
        return 0;
    switch (at[0]) {
    case LEAF:
        return at[1] >= 0 && at[1] < m->leaves ? 2 : 0;
    case AND:
    case OR:
        if (room < 3 || at[1] < 1 || (group && at[0] != OR))
            return 0;
        for (member = 0; member < at[1]; member++, taken += one) {
            if (group && (taken >= room || at[taken] != LEAF))
                return 0;
            one = check_node(m, at + taken, room - taken, depth + 1, 0);
            if (!one)
                return 0;
        }
        return taken == at[2] ? taken : 0;
    case NOT:
        one = group ? 0 : check_node(m, at + 1, room - 1, depth + 1, 0);
        return one ? one + 1 : 0;
    case NEAR:
        if (group || room < 3 || at[1] < 0)
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

static int check_programs(const Matcher *m, Py_ssize_t count)
{
    int32_t at;
    for (at = 0; at < m->leaves; at++) {
        const LeafRow *leaf = &m->leaf_rows[at];
        if (leaf->pattern < 0 || leaf->pattern >= m->patterns || leaf->words < 1 ||
            leaf->words > MAX_SIZE || leaf->term < 0 ||
            leaf->term >= PyTuple_Size(m->terms) || m->text[m->text_at[leaf->pattern]] != SPACE)
            return refuse("a leaf is out of range");
    }
    for (at = 0; at < PyTuple_Size(m->terms); at++)
        if (!PyUnicode_Check(PyTuple_GetItem(m->terms, at)))
            return refuse("a term is no text");
    for (at = 0; at < m->topics; at++) {
        int32_t begin = m->program_at[at];
        if (begin >= count ||
            (begin >= 0 && !check_node(m, m->programs + begin, (int32_t)count - begin, 0, 0)))
            return refuse("a program is none");
    }
    return 1;
}

static int matcher_init(Matcher *m, PyObject *args, PyObject *keywords)
{
    PyObject *patterns, *anchors, *guards, *needs_at, *needs, *program_at, *programs, *leaves;
    int32_t *pairs = NULL, *guarded = NULL, *rows = NULL;
    const char *wanted;
    Py_ssize_t wanted_size, pair_count, topics, count, need_count, program_count, row_count;
    int made = 0;
    if (m->text != NULL || keywords != NULL) {
        PyErr_SetString(PyExc_TypeError, "a matcher is made once, of arguments by place");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "O!y#OOOOOOOO!O!O!OOO!", &PyList_Type, &patterns, &wanted, &wanted_size, &anchors,
                          &guards, &needs_at, &needs, &program_at, &programs, &leaves, &PyTuple_Type, &m->terms,
                          &PyTuple_Type, &m->names, &PyTuple_Type, &m->versions, &m->evidence_type, &m->match_type,
                          &PyTuple_Type, &m->fields)) {
        m->terms = m->names = m->versions = m->evidence_type = m->match_type = m->fields = NULL;
        return -1;
    }
    Py_INCREF(m->terms);
    Py_INCREF(m->names);
    Py_INCREF(m->versions);
    Py_INCREF(m->evidence_type);
    Py_INCREF(m->match_type);
    Py_INCREF(m->fields);
    if (!enter_patterns(m, patterns) || !copy_numbers(anchors, &pairs, &pair_count) ||
        !copy_numbers(guards, &guarded, &topics) || !copy_numbers(needs, &m->needs, &need_count) ||
        !copy_numbers(programs, &m->programs, &program_count) || !copy_numbers(leaves, &rows, &row_count) ||
        !copy_numbers(needs_at, &m->needs_at, &count))
        goto done;
    m->topics = (int32_t)topics;
    m->leaves = (int32_t)(row_count / 4);
    m->leaf_rows = (LeafRow *)rows;
    rows = NULL;
    m->wanted = malloc((size_t)wanted_size + 1);
    if (m->wanted == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    memcpy(m->wanted, wanted, (size_t)wanted_size);
    if (wanted_size != m->patterns || count != topics + 1 || PyTuple_Size(m->names) != topics ||
        PyTuple_Size(m->versions) != topics || PyTuple_Size(m->fields) != 3 ||
        !PyType_Check(m->evidence_type) || !PyType_IsSubtype((PyTypeObject *)m->evidence_type, &PyTuple_Type) ||
        !PyType_Check(m->match_type) || !PyType_IsSubtype((PyTypeObject *)m->match_type, &PyTuple_Type)) {
        refuse("its parts do not fit");
        goto done;
    }
    if (!copy_numbers(program_at, &m->program_at, &count))
        goto done;
    if (count != topics) {
        refuse("its programs do not fit");
        goto done;
    }
    made = enter_anchors(m, pairs, pair_count / 2, guarded) && check_needs(m, need_count) &&
           check_programs(m, program_count);
    m->ready = made;
done:
    free(pairs);
    free(guarded);
    free(rows);
    if (!made && !PyErr_Occurred())
        PyErr_NoMemory();
    return made ? 0 : -1;
}

static void matcher_free(Matcher *m)
{
    PyTypeObject *type = Py_TYPE((PyObject *)m);
    free(m->text);
    free(m->text_at);
    free(m->next);
    free(m->slots);
    free(m->closed.bits);
    free(m->going_on.bits);
    free(m->open.bits);
    free(m->inner.bits);
    free(m->anchored_at);
    free(m->anchored);
    free(m->needs_at);
    free(m->needs);
    free(m->program_at);
    free(m->programs);
    free(m->leaf_rows);
    free(m->wanted);
    Py_XDECREF(m->terms);
    Py_XDECREF(m->names);
    Py_XDECREF(m->versions);
    Py_XDECREF(m->evidence_type);
    Py_XDECREF(m->match_type);
    Py_XDECREF(m->fields);
    free_scratch(m->idle);
    PyObject_Free(m);
    Py_DECREF(type);
}

static PyMethodDef matcher_methods[] = {{"match", (PyCFunction)matcher_match, METH_VARARGS, match_doc},
                                        {"places", (PyCFunction)matcher_places, METH_VARARGS, places_doc},
                                        {NULL, NULL, 0, NULL}};

static PyType_Slot matcher_slots[] = {{Py_tp_init, matcher_init},
                                      {Py_tp_dealloc, matcher_free},
                                      {Py_tp_methods, matcher_methods},
                                      {Py_tp_doc, "Compiled patterns and topics, of what flat.Layout lays out."},
                                      {0, NULL}};

static PyType_Spec matcher_spec = {"monitor.rules._core.Matcher", sizeof(Matcher), 0, Py_TPFLAGS_DEFAULT, matcher_slots};

static PyMethodDef functions[] = {{"fold", fold, METH_VARARGS, fold_doc}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_core", "The matching of stories, compiled.", -1, functions,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__core(void)
{
    PyObject *made = PyModule_Create(&module), *matcher = made ? PyType_FromSpec(&matcher_spec) : NULL;
    if (matcher == NULL || PyModule_AddObjectRef(made, "Matcher", matcher) < 0 ||
        PyModule_AddIntConstant(made, "VERSION", VERSION) < 0)
        Py_CLEAR(made);
    Py_XDECREF(matcher);
    return made;
}
