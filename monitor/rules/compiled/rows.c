/* A matcher: patterns in a hash table, topics as rows of numbers; and what a story is matched in. Part of core.c. */

enum { LEAF, ENTITY, AND, OR, NOT, NEAR, AT_LEAST, FIELD, FIRST }; /* flat.py writes them */
enum { TITLE, LEAD, BODY };

typedef struct {
    uint32_t tag;
    int32_t pattern; /* the first of those with this tag and key, -1: free */
} Slot;

/* Two bits for each kind of thing that is noted of a key, all in one number of 64, so that memory is asked once. */
typedef struct {
    uint64_t *blocks;
    uint32_t count;
    int32_t kept; /* what was noted, about: each thing once */
} Filter;
enum { WHOLE, GOING_ON, OPENING }; /* a key; the first words of a longer one; what an open end follows */

/* A pattern. What begins here ends where that of the next one begins; there is one more at the end. */
typedef struct {
    int32_t text, next;      /* bytes in `text`; the next pattern with the same tag and key, or -1 */
    int32_t anchored, named; /* topics that it leads to; aliases that it is */
    uint8_t flags, shape;    /* shape: of its key, see `shape_of` */
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
    int32_t start, word;
} Word; /* of the story; start: the space before it */

typedef struct {
    uint64_t hash;
    int32_t at; /* its first word's place in `words` */
    int going_on, opening;
} Run; /* words with which keys begin */

typedef struct {
    uint64_t hash;
    int32_t start, word, pattern, shape;
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
    Word *words;                   /* of the story, and the ends of its fields as words that no key has */
    int32_t word_count, word_room;
    Run *runs;
    int32_t run_count, run_room;
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
    Filter first, later;   /* keys of one word; of several */
    Filter open, inner;    /* keys with an open end; what begins inside a word */
    uint64_t open_lengths; /* bit n: an open end has n bytes; the last bit: that many or more */
    int32_t inner_longest; /* bytes; 0: no pattern begins inside a word */
    Anchored *anchored;
    Alias *aliases;
    int32_t *needs_at, *needs; /* by topic: sets of patterns, each as its size and its members */
    int32_t *programs, program_size;
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

static uint64_t hash_of(uint64_t hash, const unsigned char *bytes, int32_t size)
{
    while (size-- > 0)
        hash = hashed(hash, *bytes++);
    return hash;
}

/* Return the hash of words of which the last has the hash `word`, the others `before`. */
static uint64_t joined_hash(uint64_t before, uint64_t word)
{
    return ((before << 23 | before >> 41) ^ word) * 0x9E3779B97F4A7C15u;
}

/* Keys of other shapes are other keys, even where their hashes are the same. */
static int32_t shape_of(int32_t words, int open)
{
    return 2 * words + open;
}

static uint32_t block_of(const Filter *filter, uint64_t hash)
{
    return (uint32_t)((hash >> 32) * filter->count >> 32);
}

static uint64_t bits_of(uint64_t hash, int kind)
{
    hash >>= 8 + 3 * kind;
    return (uint64_t)1 << (hash & 63) | (uint64_t)1 << (hash >> 12 & 63);
}

static int has_bits(uint64_t block, uint64_t hash, int kind)
{
    uint64_t bits = bits_of(hash, kind);
    return (block & bits) == bits;
}

static int may_hold(const Filter *filter, uint64_t hash, int kind)
{
    return has_bits(filter->blocks[block_of(filter, hash)], hash, kind);
}

static void note(Filter *filter, uint64_t hash, int kind)
{
    uint64_t *block = &filter->blocks[block_of(filter, hash)];
    filter->kept += !has_bits(*block, hash, kind);
    *block |= bits_of(hash, kind);
}

/* Return how far a hash is shifted to number 2 to the power of so many bits: at least `least` numbers, and 64. */
static int shift_for(int64_t least)
{
    int power = 6;
    while (((int64_t)1 << power) < least && power < 31)
        power++;
    return 64 - power;
}

/* Make room for so many things, 16 bits for each: of what was not noted one in fifty passes. */
static int make_filter(Filter *filter, int64_t things)
{
    free(filter->blocks);
    filter->count = (uint32_t)(things / 4 + 1);
    filter->kept = 0;
    filter->blocks = calloc(filter->count, sizeof *filter->blocks);
    return filter->blocks != NULL;
}
