/* What is told to Python. Part of core.c. */

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
