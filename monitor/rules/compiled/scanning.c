/* Which patterns stand where. Part of core.c. */

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
