/* A matcher: patterns in a hash table, topics as rows of numbers; and what a story is matched in. Part of core.c. */

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
