/* What every request does for the metrics. cells.py and headers.py say what it is for, and do
   the same in Python where this was not built. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <structmember.h>
#include <time.h>

typedef struct {
    PyObject_HEAD
    Py_buffer memory;
    Py_ssize_t count;   /* of words */
    Py_ssize_t buckets; /* where they begin in a histogram */
    Py_ssize_t bounds_count;
    int64_t *bounds;
} Cells;

/* Takes hold of writable memory that begins at a word; -1 with an exception if it does not. */
static int
hold(PyObject *memory, Py_buffer *held)
{
    if (PyObject_GetBuffer(memory, held, PyBUF_CONTIG) < 0)
        return -1;
    if ((uintptr_t)held->buf % sizeof(int64_t) != 0) {
        PyErr_SetString(PyExc_ValueError, "memory that does not begin at a word");
        PyBuffer_Release(held);
        return -1;
    }
    return 0;
}

/* Only an int has no code of its own to run while it is read. */
static int
read_int(PyObject *object, int64_t *number)
{
    if (!PyLong_CheckExact(object)) {
        PyErr_SetString(PyExc_TypeError, "places and numbers are ints");
        return -1;
    }
    *number = PyLong_AsLongLong(object);
    return *number == -1 && PyErr_Occurred() ? -1 : 0;
}

/* Reads the place of `size` words. */
static int
read_place(Cells *self, PyObject *object, Py_ssize_t size, Py_ssize_t *place)
{
    int64_t number;
    if (read_int(object, &number) < 0)
        return -1;
    if (number < 0 || number > self->count - size) {
        PyErr_SetString(PyExc_IndexError, "there is no such cell");
        return -1;
    }
    *place = (Py_ssize_t)number;
    return 0;
}

/* Another process reads the word before or after, never amid. */
static void
add_to(Cells *self, Py_ssize_t place, int64_t number)
{
    volatile int64_t *word = (int64_t *)self->memory.buf + place;
    *word = (int64_t)((uint64_t)*word + (uint64_t)number);
}

static int
read_bounds(Cells *self, PyObject *bounds)
{
    PyObject *sequence = PySequence_Tuple(bounds);
    if (sequence == NULL)
        return -1;
    self->bounds_count = PyTuple_GET_SIZE(sequence);
    self->bounds = PyMem_New(int64_t, self->bounds_count);
    int result = 0;
    if (self->bounds == NULL) {
        PyErr_NoMemory();
        result = -1;
    }
    for (Py_ssize_t i = 0; result == 0 && i < self->bounds_count; i++)
        result = read_int(PyTuple_GET_ITEM(sequence, i), &self->bounds[i]);
    Py_DECREF(sequence);
    return result;
}

static PyObject *
cells_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "", "", NULL};
    PyObject *memory, *bounds;
    Py_ssize_t buckets;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOn:Cells", names, &memory, &bounds,
                                     &buckets))
        return NULL;
    Cells *self = (Cells *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->buckets = buckets;
    if (hold(memory, &self->memory) < 0) {
        self->memory.obj = NULL;
        Py_DECREF(self);
        return NULL;
    }
    self->count = self->memory.len / (Py_ssize_t)sizeof(int64_t);
    if (read_bounds(self, bounds) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void
cells_dealloc(Cells *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (self->memory.obj != NULL)
        PyBuffer_Release(&self->memory);
    PyMem_Free(self->bounds);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
cells_add(Cells *self, PyObject *const *args, Py_ssize_t size)
{
    enum { MOST = 16 };
    Py_ssize_t places[MOST];
    int64_t numbers[MOST];
    if (size > 2 * MOST || size % 2 != 0) {
        PyErr_SetString(PyExc_TypeError, "add() takes up to 16 pairs of place and number");
        return NULL;
    }
    /* All are right, or none is added. */
    for (Py_ssize_t i = 0; i < size / 2; i++)
        if (read_place(self, args[2 * i], 1, &places[i]) < 0
            || read_int(args[2 * i + 1], &numbers[i]) < 0)
            return NULL;
    for (Py_ssize_t i = 0; i < size / 2; i++)
        add_to(self, places[i], numbers[i]);
    Py_RETURN_NONE;
}

static Py_ssize_t
bucket_of(Cells *self, int64_t value)
{
    Py_ssize_t low = 0, high = self->bounds_count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (self->bounds[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static PyObject *
cells_observe(Cells *self, PyObject *const *args, Py_ssize_t size)
{
    enum { MOST = 16 };
    Py_ssize_t place, width = self->buckets + self->bounds_count + 1;
    int64_t numbers[MOST];
    if (size < 2 || size > MOST || 2 * size - 3 > self->buckets) {
        PyErr_SetString(PyExc_TypeError, "observe() takes a place, a value and what fits");
        return NULL;
    }
    if (read_place(self, args[0], width, &place) < 0)
        return NULL;
    for (Py_ssize_t i = 1; i < size; i++)
        if ((i == 1 || args[i] != Py_None) && read_int(args[i], &numbers[i]) < 0)
            return NULL;
    add_to(self, place + self->buckets + bucket_of(self, numbers[1]), 1);
    add_to(self, place, numbers[1]);
    for (Py_ssize_t i = 2; i < size; i++)
        if (args[i] != Py_None) {
            add_to(self, place + 2 * i - 3, 1);
            add_to(self, place + 2 * i - 2, numbers[i]);
        }
    Py_RETURN_NONE;
}

/* Copies the words to `memory`: all of them, or those at the places `kept`. */
static int
copy_words(Cells *self, int64_t *to, PyObject *kept)
{
    const int64_t *from = self->memory.buf;
    if (kept == NULL) {
        for (Py_ssize_t i = 0; i < self->count; i++)
            ((volatile int64_t *)to)[i] = from[i];
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kept); i++) {
        Py_ssize_t place;
        if (read_place(self, PyTuple_GET_ITEM(kept, i), 1, &place) < 0)
            return -1;
        to[place] = from[place];
    }
    return 0;
}

static PyObject *
cells_move_to(Cells *self, PyObject *args)
{
    PyObject *memory, *wanted = Py_None, *kept = NULL;
    Py_buffer held;
    if (!PyArg_ParseTuple(args, "O|O:move_to", &memory, &wanted))
        return NULL;
    if (wanted != Py_None && (kept = PySequence_Tuple(wanted)) == NULL)
        return NULL;
    if (hold(memory, &held) < 0) {
        Py_XDECREF(kept);
        return NULL;
    }
    if (held.len != self->memory.len)
        PyErr_SetString(PyExc_ValueError, "memory of another size");
    /* No other thread runs until the words are counted in the other memory. */
    if (held.len != self->memory.len || copy_words(self, held.buf, kept) < 0) {
        PyBuffer_Release(&held);
        Py_XDECREF(kept);
        return NULL;
    }
    Py_buffer left = self->memory;
    self->memory = held;
    PyBuffer_Release(&left);
    Py_XDECREF(kept);
    Py_RETURN_NONE;
}

static PyObject *
cells_forget_lock(Cells *self, PyObject *ignored)
{
    (void)self, (void)ignored;
    Py_RETURN_NONE;
}

static PyMethodDef cells_methods[] = {
    {"add", (PyCFunction)(void (*)(void))cells_add, METH_FASTCALL, NULL},
    {"forget_lock", (PyCFunction)cells_forget_lock, METH_NOARGS, NULL},
    {"move_to", (PyCFunction)cells_move_to, METH_VARARGS, NULL},
    {"observe", (PyCFunction)(void (*)(void))cells_observe, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot cells_slots[] = {
    {Py_tp_new, cells_new},
    {Py_tp_dealloc, cells_dealloc},
    {Py_tp_methods, cells_methods},
    {0, NULL},
};

static PyType_Spec cells_spec = {
    .name = "flaskprof.metrics._request.Cells",
    .basicsize = sizeof(Cells),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cells_slots,
};

typedef struct {
    PyObject_HEAD
    Cells *cells; /* NULL before it is started and once it is stopped */
    Py_ssize_t active;
    unsigned long thread; /* 0 where processor time is not measured */
    int64_t thread_started_ns;
    long long entered_ns;
    long long started_ns;
} Visit;

/* The clock of time.perf_counter_ns. */
static int64_t
now_ns(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyTime_t now;
    (void)PyTime_PerfCounterRaw(&now);
    return now;
#else
    return _PyTime_GetPerfCounter();
#endif
}

/* The clock of time.thread_time_ns: on Linux a system call, unlike the other one. */
static int64_t
thread_ns(void)
{
    struct timespec spent;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent) != 0)
        return 0;
    return (int64_t)spent.tv_sec * 1000000000 + spent.tv_nsec;
}

static PyObject *
visit_start(Visit *self, PyObject *const *args, Py_ssize_t size)
{
    if (size != 4 || Py_TYPE(args[0])->tp_dealloc != (destructor)cells_dealloc) {
        PyErr_SetString(PyExc_TypeError,
                        "start() takes cells, a place, a time, and what to measure");
        return NULL;
    }
    if (self->cells != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it was started before");
        return NULL;
    }
    Cells *cells = (Cells *)args[0];
    Py_ssize_t active;
    int64_t entered;
    if (read_place(cells, args[1], 1, &active) < 0 || read_int(args[2], &entered) < 0)
        return NULL;
    self->cells = (Cells *)Py_NewRef(cells);
    self->active = active;
    self->entered_ns = entered;
    add_to(cells, active, 1);
    if (args[3] == Py_True) {
        self->thread = PyThread_get_thread_ident();
        self->thread_started_ns = thread_ns();
    }
    self->started_ns = now_ns();
    Py_RETURN_NONE;
}

static void
visit_dealloc(Visit *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->cells);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
visit_stop(Visit *self, PyObject *ignored)
{
    (void)ignored;
    int64_t ended = now_ns();
    Cells *cells = self->cells;
    if (cells == NULL)
        Py_RETURN_NONE;
    self->cells = NULL;
    add_to(cells, self->active, -1);
    Py_DECREF(cells);
    PyObject *spent = Py_NewRef(Py_None);
    if (self->thread != 0 && self->thread == PyThread_get_thread_ident())
        Py_SETREF(spent, PyLong_FromLongLong(thread_ns() - self->thread_started_ns));
    PyObject *end = PyLong_FromLongLong(ended);
    PyObject *duration = PyLong_FromLongLong(ended - self->started_ns);
    PyObject *measured = NULL;
    if (spent != NULL && end != NULL && duration != NULL)
        measured = PyTuple_Pack(3, end, duration, spent);
    Py_XDECREF(spent);
    Py_XDECREF(end);
    Py_XDECREF(duration);
    return measured;
}

static PyObject *
visit_is_over(Visit *self, void *ignored)
{
    (void)ignored;
    return PyBool_FromLong(self->cells == NULL);
}

static PyMethodDef visit_methods[] = {
    {"start", (PyCFunction)(void (*)(void))visit_start, METH_FASTCALL, NULL},
    {"stop", (PyCFunction)visit_stop, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef visit_getters[] = {
    {"is_over", (getter)visit_is_over, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef visit_members[] = {
    {"entered_ns", T_LONGLONG, offsetof(Visit, entered_ns), READONLY, NULL},
    {"started_ns", T_LONGLONG, offsetof(Visit, started_ns), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot visit_slots[] = {
    {Py_tp_dealloc, visit_dealloc},
    {Py_tp_methods, visit_methods},
    {Py_tp_getset, visit_getters},
    {Py_tp_members, visit_members},
    {0, NULL},
};

static PyType_Spec visit_spec = {
    .name = "flaskprof.metrics._request.Visit",
    .basicsize = sizeof(Visit),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = visit_slots,
};

/* Whether text is `Content-Length`, in whatever case. */
static int
is_content_length(PyObject *text)
{
    static const char wanted[] = "content-length";
    if (!PyUnicode_CheckExact(text) || PyUnicode_GET_LENGTH(text) != sizeof wanted - 1
        || !PyUnicode_IS_ASCII(text))
        return 0;
    const Py_UCS1 *letters = PyUnicode_1BYTE_DATA(text);
    for (size_t i = 0; i < sizeof wanted - 1; i++)
        if (Py_TOLOWER(letters[i]) != wanted[i])
            return 0;
    return 1;
}

static PyObject *
content_length(PyObject *module, PyObject *headers)
{
    (void)module;
    if (!PyList_Check(headers))
        Py_RETURN_NONE;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        PyObject *header = PyList_GET_ITEM(headers, i);
        if (!PyTuple_Check(header) || PyTuple_GET_SIZE(header) != 2
            || !is_content_length(PyTuple_GET_ITEM(header, 0)))
            continue;
        PyObject *value = PyTuple_GET_ITEM(header, 1);
        if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_ASCII(value))
            Py_RETURN_NONE;
        Py_ssize_t digits = PyUnicode_GET_LENGTH(value);
        if (digits < 1 || digits > 15)
            Py_RETURN_NONE;
        long long length = 0;
        for (Py_ssize_t at = 0; at < digits; at++) {
            Py_UCS1 digit = PyUnicode_1BYTE_DATA(value)[at];
            if (!Py_ISDIGIT(digit))
                Py_RETURN_NONE;
            length = length * 10 + (digit - '0');
        }
        return PyLong_FromLongLong(length);
    }
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"content_length", content_length, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    PyType_Spec *specs[] = {&cells_spec, &visit_spec};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[i], NULL);
        if (type == NULL)
            return -1;
        int added = PyModule_AddType(module, (PyTypeObject *)type);
        Py_DECREF(type);
        if (added < 0)
            return -1;
    }
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "flaskprof.metrics._request",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__request(void)
{
    return PyModuleDef_Init(&module_definition);
}
