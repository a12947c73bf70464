/* The matching of stories, compiled: folding, scanning, sifting and deciding over rows of numbers that lie side by side.

   Optional: where this is not built, or MONITOR_PURE is set, folded.py, index.py, engine.py and evaluate.py do the same
   in Python, and are the judges of it (tests/test_rules_core.py). What is rare is left to them: `fold` returns None for
   a text whose folding depends on neighbours in ways of their own, `match` names the topics that it did not decide.

   Everything is checked where it comes in (sizes, numbers, programs); what then runs trusts it. No Python code runs
   while a story is scanned and decided. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
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
} Output;

static Py_ssize_t put(const Output *out, Py_ssize_t length, uint32_t character, Py_ssize_t origin)
{
    int width = write_character(out->bytes + length, character);
    while (width-- > 0)
        out->origins[length++] = (int32_t)origin;
    return length;
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
    Py_ssize_t at, dropped = -1, length = put(out, 0, SPACE, 0);
    int apart = 0; /* whether what comes next is another word than what was written last */
    for (at = 0; at < count; at++) {
        uint32_t code = codes[at];
        if (code == SPACE || code == NUMBER || at == dropped) {
            apart = length > 1; /* the first space is there from the beginning */
        } else if (code == APOSTROPHE) {
            int is = possessive(codes, count, at);
            if (is < 0)
                return 0;
            if (is)
                dropped = at + 1;
            apart = length > 1;
        } else if (code <= PLAIN || code & (TWO | SPREAD)) {
            if (code & SPREAD)
                apart = length > 1;
            if (apart) {
                out->bytes[length] = SPACE;
                out->origins[length++] = (int32_t)at;
            }
            if (code & TWO) {
                length = put(out, length, code & 0xFF, at);
                length = put(out, length, code >> 8 & 0xFF, at);
            } else {
                length = put(out, length, code & PLAIN, at);
            }
            apart = (code & SPREAD) != 0;
        } else if (code & GONE) {
            *gone = 1;
        } else {
            uint32_t before = at ? codes[at - 1] : SPACE;
            if (before == SPACE || before == 0 || before == APOSTROPHE || before == NUMBER || at - 1 == dropped)
                return 0;
            if (code & MARK)
                length = put(out, length, code & PLAIN, at);
            else if (before <= 127)
                *gone = 1; /* an accent on a letter from a to z */
            else
                return 0;
        }
    }
    if (out->bytes[length - 1] != SPACE)
        length = put(out, length, SPACE, count - 1);
    out->length = length;
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
    Output out = {NULL, NULL, 0};
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

enum { LEAF, ENTITY, AND, OR, NOT, NEAR, AT_LEAST, FIELD, FIRST }; /* flat.py writes them */
enum { TITLE, LEAD, BODY };

typedef struct {
    uint32_t tag;
    int32_t pattern; /* the first of those with this tag and key, -1: free */
} Slot;

typedef struct {
    uint64_t *bits;
    int shift;
} Filter;

/* A pattern. What begins here ends where that of the next one begins; there is one more at the end. */
typedef struct {
    int32_t text, next;      /* bytes in `text`; the next pattern with the same tag and key, or -1 */
    int32_t anchored, named; /* topics that it leads to; aliases that it is */
    int32_t flags;
} Pattern;
#define WANTED 1    /* Python may ask for its places */
#define BEGINNING 2 /* a name may be here in another form, of which Python knows */

typedef struct {
    int32_t topic, guard, program; /* guard: a pattern that must be found too, or -1; program -1: Python decides it */
} Anchored;

typedef struct {
    int32_t entity, exact; /* exact: the text that must stand there, -1: none, UNTOLD: Python knows whether it counts */
} Alias;
#define UNTOLD (-2)

typedef struct {
    PyObject *text; /* borrowed from the matcher's tuple */
    int32_t before, after;
} Exact;

typedef struct {
    int32_t start, word, next; /* next: of the same pattern, -1: the last */
} Hit;

typedef struct {
    int32_t first, last; /* hits of a pattern */
} Chain;

typedef struct {
    uint64_t hash;
    int32_t start, word, pattern;
} Guess; /* what a filter let through */
#define GUESSES 64

typedef struct {
    int32_t start, end, first, last; /* bytes; numbers of words, both included */
    int32_t before, after;           /* characters around them that belong to it */
    PyObject **term, **entity;       /* in the matcher's */
} Span;

typedef struct {
    int32_t topic, from, to; /* its evidence in `shown` */
} Match;

typedef struct {
    int count;
    int32_t low[3], high[3]; /* numbers of words: from, up to but not including */
} Zones;

/* The way back to what was published. */
typedef struct {
    PyObject *joined; /* the three fields as one text */
    const int32_t *origins; /* of each byte of the data its character there; NULL: `place` knows */
    int32_t before[3]; /* characters before each field */
    PyObject *place, *no_entity;
} Way;

/* What a story is matched in. Every array is as long as it can get, or grows. */
typedef struct {
    uint64_t *seen, *asked;        /* bits: of patterns found, of topics met */
    Chain *chains;                 /* by pattern, where it was seen */
    Guess guesses[GUESSES];
    int guess_count;
    int32_t *found, found_count;   /* patterns, each once */
    Anchored *asking;              /* topics met, each once */
    int32_t asking_count;
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
    Span *names;
    int32_t name_count, name_room, names_known; /* names_known: 0 not yet looked for, 1 yes, -1 Python knows */
    const unsigned char *data;
    int32_t size;
    Zones fields; /* words of title, summary and body */
    Way way;
} Scratch;

typedef struct {
    PyObject_HEAD
    int32_t patterns, topics;
    unsigned char *text; /* all patterns, one behind the other */
    Pattern *rows;
    Slot *slots;
    int slot_shift;
    Filter closed, going_on, open, inner; /* what may be a whole key; a key's first words; an open end; inside a word */
    uint64_t open_lengths;                /* bit n: a key with an open end has n bytes; the last bit: that many or more */
    int32_t inner_longest;                /* bytes; 0: no pattern begins inside a word */
    Anchored *anchored;
    Alias *aliases;
    int32_t *needs_at, *needs; /* by topic: sets of patterns, each as its size and its members */
    int32_t *programs;
    Exact *exacts;
    int32_t exact_count;
    PyObject *kept; /* a tuple of what the following belong to */
    PyObject **terms, **entities, **labels, **fields; /* labels: name and version of each topic */
    int32_t term_count, entity_count;
    PyObject *evidence_type, *match_type;
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

static int grow(void **rows, int32_t *room, int32_t wanted, size_t size)
{
    void *grown;
    if (wanted <= *room)
        return 1;
    if (wanted > INT32_MAX / 4)
        return 0;
    grown = realloc(*rows, (size_t)wanted * 2 * size);
    if (grown == NULL)
        return 0;
    *rows = grown;
    *room = wanted * 2;
    return 1;
}

static int add_hit(Scratch *s, int32_t pattern, int32_t start, int32_t word)
{
    Hit *hit;
    Chain *chain = &s->chains[pattern];
    if (!grow((void **)&s->hits, &s->hit_room, s->hit_count + 1, sizeof *s->hits))
        return 0;
    if (!bit(s->seen, (uint32_t)pattern)) {
        set_bit(s->seen, (uint32_t)pattern);
        s->found[s->found_count++] = pattern;
        chain->first = s->hit_count;
    } else {
        if (s->hits[chain->last].start == start) /* two keys with one hash */
            return 1;
        s->hits[chain->last].next = s->hit_count;
    }
    chain->last = s->hit_count;
    hit = &s->hits[s->hit_count++];
    hit->start = start;
    hit->word = word;
    hit->next = -1;
    return 1;
}

static int32_t length_of(const Matcher *m, int32_t pattern)
{
    return m->rows[pattern + 1].text - m->rows[pattern].text;
}

/* Note which of the guesses are patterns. Step by step for all of them, so that memory is fetched for many at once. */
static int settle(const Matcher *m, Scratch *s)
{
    uint32_t mask = ((uint32_t)1 << (64 - m->slot_shift)) - 1;
    int number;
    for (number = 0; number < s->guess_count; number++) {
        Guess *guess = &s->guesses[number];
        uint32_t at = (uint32_t)(guess->hash >> m->slot_shift), tag = (uint32_t)(guess->hash >> 16);
        while (m->slots[at].pattern >= 0 && m->slots[at].tag != tag)
            at = (at + 1) & mask;
        guess->pattern = m->slots[at].pattern;
        if (guess->pattern >= 0)
            __builtin_prefetch(&m->rows[guess->pattern]);
    }
    for (number = 0; number < s->guess_count; number++) {
        int32_t pattern = s->guesses[number].pattern;
        if (pattern >= 0) {
            __builtin_prefetch(m->text + m->rows[pattern].text);
            __builtin_prefetch(&s->chains[pattern]);
        }
    }
    for (number = 0; number < s->guess_count; number++) {
        const Guess *guess = &s->guesses[number];
        int32_t pattern;
        for (pattern = guess->pattern; pattern >= 0; pattern = m->rows[pattern].next) {
            int32_t length = length_of(m, pattern);
            if (length <= s->size - guess->start &&
                !memcmp(m->text + m->rows[pattern].text, s->data + guess->start, (size_t)length) &&
                !add_hit(s, pattern, guess->start, guess->word))
                return 0;
        }
    }
    s->guess_count = 0;
    return 1;
}

/* Note that a pattern with a key of this hash may stand at `start`. */
static int look_up(const Matcher *m, Scratch *s, uint64_t hash, int32_t start, int32_t word)
{
    Guess *guess = &s->guesses[s->guess_count++];
    guess->hash = hash;
    guess->start = start;
    guess->word = word;
    __builtin_prefetch(&m->slots[hash >> m->slot_shift]);
    return s->guess_count < GUESSES || settle(m, s);
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
    return (!m->inner_longest || scan_inside(m, s)) && settle(m, s);
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

static int field_of(const Scratch *s, int32_t word)
{
    return word < s->fields.low[1] ? 0 : word < s->fields.low[2] ? 1 : 2;
}

static int is_blank(uint32_t character)
{
    return character == ' ' || (character >= 9 && character <= 13) || (character >= 28 && character <= 31);
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
    /* Runs of blanks are one, and other characters may be composed in other ways. */
    for (at = low, place = 0, same = 1; at < high; at++) {
        uint32_t character = PyUnicode_ReadChar(way->joined, at);
        if (character > 127)
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

/* Decide the topics that the patterns found lead to. 0: no memory. In steps, for the sake of memory as in `settle`. */
static int decide_all(const Matcher *m, Scratch *s)
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

static PyObject *evidence(const Matcher *m, const Scratch *s, const Span *span)
{
    const Way *way = &s->way;
    PyObject *values = PyTuple_New(5), *field = NULL, *low = NULL, *high = NULL;
    if (values == NULL)
        return NULL;
    if (way->origins != NULL) {
        int number = field_of(s, span->first);
        field = m->fields[number];
        Py_INCREF(field);
        low = PyLong_FromLong(way->origins[span->start + 1] - span->before - way->before[number]);
        high = PyLong_FromLong(way->origins[span->end - 2] + 1 + span->after - way->before[number]);
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
    Py_INCREF(*span->term);
    PyTuple_SetItem(values, 3, *span->term);
    Py_INCREF(*span->entity);
    PyTuple_SetItem(values, 4, *span->entity);
    return new_tuple(m->evidence_type, values);
}

static PyObject *topic_match(const Matcher *m, const Scratch *s, const Match *match)
{
    PyObject *values, *all = PyTuple_New(match->to - match->from);
    int32_t at;
    if (all == NULL)
        return NULL;
    for (at = match->from; at < match->to; at++) {
        PyObject *one = evidence(m, s, &s->shown[at]);
        if (one == NULL) {
            Py_DECREF(all);
            return NULL;
        }
        PyTuple_SetItem(all, at - match->from, one);
    }
    values = PyTuple_Pack(3, m->labels[2 * (size_t)match->topic], m->labels[2 * (size_t)match->topic + 1], all);
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
        int32_t pattern = s->found[number], length = length_of(m, pattern);
        PyObject *list, *key;
        int failed = 0;
        if (!all && !(m->rows[pattern].flags & WANTED))
            continue;
        list = PyList_New(0);
        key = PyLong_FromLong(pattern);
        for (at = s->chains[pattern].first; list && key && !failed && at >= 0; at = s->hits[at].next) {
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
    free(s->chains);
    free(s->found);
    free(s->asking);
    free(s->undecided);
    free(s->hits);
    free(s->spans);
    free(s->groups);
    free(s->matches);
    free(s->shown);
    free(s->names);
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
    s->chains = malloc(patterns * sizeof *s->chains);
    s->found = malloc(patterns * sizeof *s->found);
    s->asking = malloc(topics * sizeof *s->asking);
    s->undecided = malloc(topics * sizeof *s->undecided);
    s->hits = malloc((size_t)s->hit_room * sizeof *s->hits);
    s->spans = malloc(MAX_SPANS * sizeof *s->spans);
    s->groups = malloc(MAX_SPANS * sizeof *s->groups);
    s->matches = malloc(topics * sizeof *s->matches);
    s->shown = malloc((size_t)s->shown_room * sizeof *s->shown);
    if (!s->seen || !s->asked || !s->chains || !s->found || !s->asking || !s->undecided || !s->hits ||
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
    for (at = 0; at < s->asking_count; at++)
        s->asked[s->asking[at].topic >> 6] = 0;
    s->overflown = 0;
    memset(&s->way, 0, sizeof s->way);
    s->guess_count = 0;
    s->name_count = s->names_known = 0;
    s->found_count = s->asking_count = s->undecided_count = s->hit_count = s->match_count = s->shown_count = 0;
    if (m->idle == NULL && s->hit_room < 1 << 16)
        m->idle = s;
    else
        free_scratch(s);
}

PyDoc_STRVAR(match_doc, "match(data, joined, origins, before, place)\n--\n\n"
                        "Return the numbers of the topics that hold, ascending, and their TopicMatches; the numbers of\n"
                        "those that may hold; and, where there are any, the places of the patterns that these may ask for.");

/* Make what `match` returns. */
static PyObject *told(const Matcher *m, const Scratch *s)
{
    PyObject *matched = PyList_New(s->match_count), *held = PyList_New(s->match_count), *result = NULL;
    PyObject *open = numbers(s->undecided, s->undecided_count), *hits = NULL;
    int32_t at, shown;
    for (at = 0; at < s->match_count; at++) {
        const Match *match = &s->matches[at];
        __builtin_prefetch(m->labels[2 * (size_t)match->topic]);
        __builtin_prefetch(m->labels[2 * (size_t)match->topic + 1]);
        for (shown = match->from; shown < match->to; shown++)
            __builtin_prefetch(*s->shown[shown].term);
    }
    for (at = 0; matched != NULL && held != NULL && at < s->match_count; at++) {
        PyObject *number = PyLong_FromLong(s->matches[at].topic), *match = topic_match(m, s, &s->matches[at]);
        if (number == NULL || match == NULL) {
            Py_XDECREF(number);
            Py_XDECREF(match);
            Py_CLEAR(held);
            break;
        }
        PyList_SetItem(held, at, number);
        PyList_SetItem(matched, at, match);
    }
    if (held != NULL && matched != NULL && open != NULL)
        hits = s->undecided_count ? places(m, s, s->overflown) : Py_NewRef(Py_None);
    if (hits != NULL)
        result = PyTuple_Pack(4, held, matched, open, hits);
    Py_XDECREF(held);
    Py_XDECREF(matched);
    Py_XDECREF(open);
    Py_XDECREF(hits);
    return result;
}

static PyObject *matcher_match(Matcher *m, PyObject *args)
{
    const char *data;
    Py_ssize_t size;
    PyObject *origins, *result = NULL, *no_entity;
    Py_buffer map = {0};
    Way way = {0};
    Scratch *s;
    if (!PyArg_ParseTuple(args, "y#UO(iii)O", &data, &size, &way.joined, &origins, &way.before[0], &way.before[1],
                          &way.before[2], &way.place))
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
    no_entity = way.no_entity = PyUnicode_FromStringAndSize("", 0);
    s = no_entity == NULL ? NULL : take_scratch(m);
    if (s != NULL) {
        s->way = way;
        if (scan(m, s, (const unsigned char *)data, (int32_t)size) && decide_all(m, s))
            result = told(m, s);
        else
            PyErr_NoMemory();
        give_back(m, s);
    }
    Py_XDECREF(no_entity);
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

/* Return how many bytes of a pattern are its key, and how many words are before its end; note these where asked to. */
static int32_t key_length(const unsigned char *text, int32_t length, Filter *going_on, int32_t *words)
{
    uint64_t hash = SEED;
    int32_t at;
    *words = 0;
    for (at = 0; at < length; at++) {
        hash = hashed(hash, text[at]);
        if (text[at] != SPACE || at == 0)
            continue;
        if (at == length - 1 || *words == KEY_WORDS - 1)
            return at + 1;
        ++*words;
        if (going_on != NULL)
            note(going_on, hash);
    }
    return length;
}

static int enter_pattern(Matcher *m, int32_t pattern)
{
    const unsigned char *text = m->text + m->rows[pattern].text;
    int32_t length = length_of(m, pattern), size, words;
    uint32_t mask = ((uint32_t)1 << (64 - m->slot_shift)) - 1, at, tag;
    uint64_t hash;
    if (length < 2 || memchr(text, 0, (size_t)length) != NULL)
        return refuse("a pattern is no words");
    size = key_length(text, length, &m->going_on, &words);
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
    m->rows[pattern].next = m->slots[at].pattern;
    m->slots[at].pattern = pattern;
    m->slots[at].tag = tag;
    return 1;
}

static int enter_patterns(Matcher *m, PyObject *patterns, const char *flags, Py_ssize_t flag_count)
{
    Py_ssize_t at, count = PyList_Size(patterns), size = 0, length;
    int64_t slots, closed = 0, open = 0, going_on = 0;
    char *text;
    int32_t words;
    if (count > MAX_SIZE / 32 || count != flag_count)
        return refuse("too many patterns");
    for (at = 0; at < count; at++) {
        if (PyBytes_AsStringAndSize(PyList_GetItem(patterns, at), &text, &length) < 0)
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
        if (PyBytes_AsStringAndSize(PyList_GetItem(patterns, at), &text, &length) < 0)
            return 0;
        memcpy(m->text + row->text, text, (size_t)length);
        row->flags = flags[at];
        row[1].text = row->text + (int32_t)length;
        length = key_length(m->text + row->text, (int32_t)length, NULL, &words);
        going_on += words;
        *(length && text[length - 1] == SPACE ? &closed : &open) += 1;
    }
    if (!make_filter(&m->closed, closed) || !make_filter(&m->open, open) || !make_filter(&m->inner, 0) ||
        !make_filter(&m->going_on, going_on))
        return no_memory();
    for (at = 0; at < count; at++)
        if (!enter_pattern(m, (int32_t)at))
            return 0;
    return 1;
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

/* The arguments by their numbers, as flat.py gives them. */
enum { PATTERNS, FLAGS, ANCHORS, GUARDS, NEEDS_AT, NEEDS, PROGRAMS_AT, PROGRAMS, ALIASES, AROUND, EXACTS, TERMS,
       ENTITIES, LABELS, FIELDS, EVIDENCE, MATCH, ARGUMENTS };
#define ROWS (AROUND - ANCHORS + 1)

static int enter(Matcher *m, PyObject *args, int32_t **rows)
{
    PyObject *given[ARGUMENTS];
    Py_ssize_t counts[ROWS], topics, flag_count;
    char *flags;
    int32_t at;
    for (at = 0; at < ARGUMENTS; at++)
        given[at] = PyTuple_GetItem(args, at);
    for (at = 0; at < ROWS; at++)
        if (!copy_numbers(given[ANCHORS + at], &rows[at], &counts[at]))
            return 0;
    topics = counts[GUARDS - ANCHORS];
    if (!PyList_Check(given[PATTERNS]) || counts[NEEDS_AT - ANCHORS] != topics + 1 || topics > MAX_SIZE / 64 ||
        counts[PROGRAMS_AT - ANCHORS] != topics || !is_tuple_type(given[EVIDENCE]) || !is_tuple_type(given[MATCH]))
        return refuse("its parts do not fit");
    m->topics = (int32_t)topics;
    m->kept = PyTuple_Pack(7, given[TERMS], given[ENTITIES], given[LABELS], given[FIELDS], given[EXACTS],
                           given[EVIDENCE], given[MATCH]);
    if (m->kept == NULL)
        return 0;
    m->evidence_type = given[EVIDENCE];
    m->match_type = given[MATCH];
    m->needs_at = rows[NEEDS_AT - ANCHORS];
    m->needs = rows[NEEDS - ANCHORS];
    m->programs = rows[PROGRAMS - ANCHORS];
    rows[NEEDS_AT - ANCHORS] = rows[NEEDS - ANCHORS] = rows[PROGRAMS - ANCHORS] = NULL;
    if (PyBytes_AsStringAndSize(given[FLAGS], &flags, &flag_count) < 0 ||
        !enter_patterns(m, given[PATTERNS], flags, flag_count) ||
        !(m->terms = items_of(given[TERMS], -1, &m->term_count)) ||
        !(m->entities = items_of(given[ENTITIES], -1, &m->entity_count)) ||
        !(m->labels = items_of(given[LABELS], 2 * topics, NULL)) || !(m->fields = items_of(given[FIELDS], 3, NULL)) ||
        !enter_exacts(m, given[EXACTS], rows[AROUND - ANCHORS], counts[AROUND - ANCHORS] / 2) ||
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
    int32_t *rows[ROWS] = {NULL};
    int at;
    if (m->kept != NULL || keywords != NULL || PyTuple_Size(args) != ARGUMENTS) {
        PyErr_SetString(PyExc_TypeError, "a matcher is made once, of what flat.py lays out");
        return -1;
    }
    m->ready = enter(m, args, rows);
    for (at = 0; at < ROWS; at++)
        free(rows[at]);
    return m->ready ? 0 : -1;
}

static void matcher_free(Matcher *m)
{
    PyTypeObject *type = Py_TYPE((PyObject *)m);
    free(m->text);
    free(m->rows);
    free(m->slots);
    free(m->closed.bits);
    free(m->going_on.bits);
    free(m->open.bits);
    free(m->inner.bits);
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
