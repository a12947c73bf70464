/* What a new matcher takes over from an earlier one: the rows of its topics, under their new numbers. Part of core.c.

   Patterns, texts and entities keep their numbers; those that no topic needs any more stay. The earlier one is only read. */

/* Return two rows of numbers as one; the second is freed. NULL: no memory. */
static int32_t *one_behind_other(const int32_t *first, Py_ssize_t size, int32_t *second, Py_ssize_t more)
{
    int32_t *both = malloc((size_t)(size + more + 1) * sizeof *both);
    if (both == NULL)
        return NULL;
    if (size)
        memcpy(both, first, (size_t)size * sizeof *both);
    memcpy(both + size, second, (size_t)more * sizeof *both);
    free(second);
    return both;
}

/* Anchors, and guards and programs beside them. `place`: the new number of each of the earlier topics, or -1. */
static int take_anchors(const Matcher *from, const int32_t *place, int32_t **rows, Py_ssize_t *counts)
{
    int32_t pattern, entry, *pairs, *both, taken = 0;
    pairs = malloc((size_t)(2 * from->rows[from->patterns].anchored + 1) * sizeof *pairs);
    if (pairs == NULL)
        return no_memory();
    for (pattern = 0; pattern < from->patterns; pattern++)
        for (entry = from->rows[pattern].anchored; entry < from->rows[pattern + 1].anchored; entry++) {
            const Anchored *one = &from->anchored[entry];
            int32_t topic = place[one->topic];
            if (topic < 0)
                continue;
            pairs[taken++] = pattern;
            pairs[taken++] = topic;
            rows[GUARDS - ANCHORS][topic] = one->guard;
            rows[PROGRAMS_AT - ANCHORS][topic] = one->program;
        }
    both = one_behind_other(pairs, taken, rows[0], counts[0]);
    free(pairs);
    if (both == NULL)
        return no_memory();
    rows[0] = both;
    counts[0] += taken;
    return 1;
}

/* Needs: what is given has those of the new topics alone. */
static int take_needs(const Matcher *from, const int32_t *taken, int32_t topics, int32_t **rows, Py_ssize_t *counts)
{
    const int32_t *given_at = rows[NEEDS_AT - ANCHORS], *given = rows[NEEDS - ANCHORS];
    const Py_ssize_t given_count = counts[NEEDS_AT - ANCHORS], end = counts[NEEDS - ANCHORS];
    int32_t *at = malloc((size_t)(topics + 1) * sizeof *at), topic, count = 0, number = 0;
    int32_t *needs = malloc((size_t)(end + from->needs_at[from->topics] + 1) * sizeof *needs);
    int fits = at != NULL && needs != NULL && given_count > 0 && given_at[0] == 0;
    for (topic = 0; fits && topic < topics; topic++) {
        const int32_t *one = from->needs;
        int32_t begin, until;
        at[topic] = count;
        if (taken[topic] >= 0) {
            begin = from->needs_at[taken[topic]];
            until = from->needs_at[taken[topic] + 1];
        } else {
            fits = number + 1 < given_count;
            if (!fits)
                break;
            one = given;
            begin = given_at[number++];
            until = given_at[number];
        }
        fits = begin <= until && (one != given || until <= end);
        if (fits)
            memcpy(needs + count, one + begin, (size_t)(until - begin) * sizeof *needs);
        count += until - begin;
    }
    if (!fits || number + 1 != given_count) {
        int memory = at != NULL && needs != NULL;
        free(at);
        free(needs);
        return memory ? refuse("needs do not fit") : no_memory();
    }
    at[topics] = count;
    free(rows[NEEDS_AT - ANCHORS]);
    free(rows[NEEDS - ANCHORS]);
    rows[NEEDS_AT - ANCHORS] = at;
    rows[NEEDS - ANCHORS] = needs;
    counts[NEEDS_AT - ANCHORS] = topics + 1;
    counts[NEEDS - ANCHORS] = count;
    return 1;
}

/* Programs, aliases and what is around exact texts: all of them, before what is given. */
static int take_all(const Matcher *from, int32_t **rows, Py_ssize_t *counts)
{
    int32_t pattern, entry, aliases = from->rows[from->patterns].named;
    int32_t *named = malloc(3 * (size_t)(aliases + 1) * sizeof *named);
    int32_t *around = malloc(2 * (size_t)(from->exact_count + 1) * sizeof *around);
    int done = named != NULL && around != NULL;
    for (pattern = 0; done && pattern < from->patterns; pattern++)
        for (entry = from->rows[pattern].named; entry < from->rows[pattern + 1].named; entry++) {
            named[3 * entry] = pattern;
            named[3 * entry + 1] = from->aliases[entry].entity;
            named[3 * entry + 2] = from->aliases[entry].exact;
        }
    for (entry = 0; done && entry < from->exact_count; entry++) {
        around[2 * entry] = from->exacts[entry].before;
        around[2 * entry + 1] = from->exacts[entry].after;
    }
#define BEFORE(which, numbers, size)                                                                                   \
    if (done) {                                                                                                        \
        int32_t *both = one_behind_other(numbers, size, rows[which - ANCHORS], counts[which - ANCHORS]);               \
        done = both != NULL;                                                                                           \
        if (done) {                                                                                                    \
            rows[which - ANCHORS] = both;                                                                              \
            counts[which - ANCHORS] += size;                                                                           \
        }                                                                                                              \
    }
    BEFORE(PROGRAMS, from->programs, from->program_size)
    BEFORE(ALIASES, named, 3 * (Py_ssize_t)aliases)
    BEFORE(AROUND, around, 2 * (Py_ssize_t)from->exact_count)
#undef BEFORE
    free(named);
    free(around);
    return done || no_memory();
}

/* Put before the rows what an earlier matcher has; `taken`: of each topic its number there, -1 for those in the rows. */
static int take_over(const Matcher *from, const int32_t *taken, int32_t topics, int32_t **rows, Py_ssize_t *counts)
{
    int32_t topic, *place = malloc((size_t)(from->topics + 1) * sizeof *place), *programs = rows[PROGRAMS_AT - ANCHORS];
    int fits = 1;
    if (place == NULL)
        return no_memory();
    memset(place, 0xFF, (size_t)(from->topics + 1) * sizeof *place);
    for (topic = 0; fits && topic < topics; topic++) {
        int32_t number = taken[topic];
        if (number < 0) {
            if (programs[topic] > MAX_SIZE - from->program_size)
                fits = 0;
            else if (programs[topic] >= 0)
                programs[topic] += from->program_size;
        } else if (number >= from->topics || place[number] >= 0) {
            fits = 0;
        } else {
            place[number] = topic;
        }
    }
    fits = fits ? take_anchors(from, place, rows, counts) && take_needs(from, taken, topics, rows, counts) &&
                      take_all(from, rows, counts)
                : refuse("a topic that is taken over is out of range");
    free(place);
    return fits;
}
