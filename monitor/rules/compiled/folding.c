/* Folding, by the numbers of folded.py. Part of core.c. */

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
