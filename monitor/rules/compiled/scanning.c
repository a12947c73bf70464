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
        if (s->hits[chain->last].start == start) /* two keys of one shape with one hash */
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

/* Return the first of the patterns whose key has this hash, -1 where there is none. */
static int32_t first_with(const Matcher *m, uint64_t hash)
{
    uint32_t mask = ((uint32_t)1 << (64 - m->slot_shift)) - 1;
    uint32_t at = (uint32_t)(hash >> m->slot_shift), tag = (uint32_t)(hash >> 16);
    while (m->slots[at].pattern >= 0 && m->slots[at].tag != tag)
        at = (at + 1) & mask;
    return m->slots[at].pattern;
}

/* Note which of the guesses are patterns. Step by step for all of them, so that memory is fetched for many at once. */
static int settle(const Matcher *m, Scratch *s)
{
    int number;
    for (number = 0; number < s->guess_count; number++) {
        Guess *guess = &s->guesses[number];
        guess->pattern = first_with(m, guess->hash);
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
            if (m->rows[pattern].shape == guess->shape && length <= s->size - guess->start &&
                !memcmp(m->text + m->rows[pattern].text, s->data + guess->start, (size_t)length) &&
                !add_hit(s, pattern, guess->start, guess->word))
                return 0;
        }
    }
    s->guess_count = 0;
    return 1;
}

/* Note that a pattern with a key of this hash and shape may stand at `start`. */
static int look_up(const Matcher *m, Scratch *s, uint64_t hash, int32_t shape, int32_t start, int32_t word)
{
    Guess *guess = &s->guesses[s->guess_count++];
    guess->hash = hash;
    guess->shape = shape;
    guess->start = start;
    guess->word = word;
    __builtin_prefetch(&m->slots[hash >> m->slot_shift]);
    return s->guess_count < GUESSES || settle(m, s);
}

static Word *new_word(Scratch *s, int32_t start, int32_t word)
{
    Word *one;
    if (!grow((void **)&s->words, &s->word_room, s->word_count + 1, sizeof *s->words))
        return NULL;
    one = &s->words[s->word_count++];
    one->hash = 0;
    one->start = start;
    one->word = word;
    return one;
}

/* Find the keys that are `count` words, with `hash`, from number `first` on; keep what longer ones may follow. There is
   room for it. */
static int look_at(const Matcher *m, Scratch *s, const Filter *filter, uint64_t hash, int32_t count, int32_t first)
{
    uint64_t block = filter->blocks[block_of(filter, hash)];
    int going_on = has_bits(block, hash, GOING_ON), opening = has_bits(block, hash, OPENING);
    if (going_on || opening) {
        Run *run = &s->runs[s->run_count++];
        run->hash = hash;
        run->at = first;
        run->going_on = going_on;
        run->opening = opening;
    }
    return !has_bits(block, hash, WHOLE) ||
           look_up(m, s, hash, shape_of(count, 0), s->words[first].start, s->words[first].word);
}

/* Find the keys whose last word only begins as the one behind the space at `space` does. `hash`: of those before it.
   Return where that word ends, -1: no memory; set `hash` to that of its bytes too. */
static int32_t look_into(const Matcher *m, Scratch *s, uint64_t *hash, int32_t space, int32_t count, const Word *first)
{
    const unsigned char *data = s->data;
    const uint64_t lengths = m->open_lengths;
    const int32_t size = s->size, start = first->start, word = first->word;
    uint64_t found = *hash;
    int32_t at = space + 1;
    while (at < size && data[at] != SPACE) {
        int32_t length = at - space;
        found = hashed(found, data[at++]);
        if (lengths >> (length < 63 ? length : 63) & 1 && may_hold(&m->open, found, WHOLE) &&
            !look_up(m, s, found, shape_of(count, 1), start, word))
            return -1;
    }
    *hash = found;
    return at;
}

/* Find the patterns of several words: with one word more in each step, in all places where keys go on. */
static int scan_runs(const Matcher *m, Scratch *s)
{
    int32_t count, number, runs;
    for (count = 2; s->run_count && count <= KEY_WORDS; count++) {
        for (number = runs = 0; number < s->run_count; number++) {
            Run *run = &s->runs[number];
            int32_t at = run->at + count - 1;
            uint64_t hash = run->hash;
            if (at >= s->word_count)
                continue;
            if (run->opening && look_into(m, s, &hash, s->words[at].start, count, &s->words[run->at]) < 0)
                return 0;
            if (run->going_on) {
                hash = joined_hash(run->hash, s->words[at].hash);
                s->runs[runs].hash = hash;
                s->runs[runs++].at = run->at;
                __builtin_prefetch(&m->later.blocks[block_of(&m->later, hash)]);
            }
        }
        s->run_count = 0; /* those that go on are kept before those that are yet to be looked at */
        for (number = 0; number < runs; number++)
            if (!look_at(m, s, &m->later, s->runs[number].hash, count, s->runs[number].at))
                return 0;
    }
    return 1;
}

/* Find the patterns that may begin anywhere: at each byte, what follows it in its word. */
static int scan_inside(const Matcher *m, Scratch *s)
{
    const unsigned char *data = s->data;
    int32_t start, at;
    for (start = 0; start + 2 < s->size; start++) {
        if (!may_hold(&m->inner, hash_of(SEED, data + start, 2), OPENING))
            continue;
        uint64_t hash = SEED;
        for (at = start; at < s->size && data[at] != SPACE && at - start < m->inner_longest;) {
            hash = hashed(hash, data[at++]);
            if (may_hold(&m->inner, hash, WHOLE) && !look_up(m, s, hash, shape_of(0, 1), start, 0))
                return 0;
        }
    }
    return 1;
}

/* Find all patterns in the data. 0: no memory. */
static int scan(const Matcher *m, Scratch *s, const unsigned char *data, int32_t size)
{
    int32_t at = 0, number = 0, field = 0;
    s->data = data;
    s->size = size;
    memset(&s->fields, 0, sizeof s->fields);
    s->fields.count = 3;
    while (at + 1 < size) {
        Word *word = new_word(s, at, number);
        if (word == NULL || !grow((void **)&s->runs, &s->run_room, s->run_count + 1, sizeof *s->runs))
            return 0;
        if (data[at + 1] == 0) { /* between two fields */
            if (field < 2) {
                s->fields.high[field++] = number;
                number += FIELD_GAP;
                s->fields.low[field] = number;
            }
            at += 2;
        } else {
            uint64_t hash = SEED;
            at = look_into(m, s, &hash, at, 1, word);
            if (at < 0)
                return 0;
            number++;
            if (at == size)
                break;
            word->hash = hashed(hash, SPACE);
            if (!look_at(m, s, &m->first, word->hash, 1, s->word_count - 1))
                return 0;
        }
    }
    s->fields.high[field] = number;
    return scan_runs(m, s) && (!m->inner_longest || scan_inside(m, s)) && settle(m, s);
}
