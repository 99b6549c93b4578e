/* What every request does for the metrics. cells.py, headers.py and visit.py say what it is
   for, and do the same in Python where this was not built. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>
#include <time.h>

/* The ring of exemplars: see layout.py. */
enum { RING_ENTRIES = 256, RING_WORDS = 8, ID_WORDS = 2, ID_DIGITS = 32 };

typedef struct {
    PyObject_HEAD
    Py_buffer memory;
    Py_ssize_t count;   /* of words */
    Py_ssize_t buckets; /* where they begin in a histogram */
    Py_ssize_t bounds_count;
    int64_t *bounds;
    Py_ssize_t noted; /* counts the exemplars; -1 where there is no room for any */
    Py_ssize_t ring;  /* where they begin */
    Py_ssize_t rows;  /* where the histograms begin that they are of */
    long long due_ns;
    uint64_t random;
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

/* Reads where exemplars go; -1 with an exception if that is not in the memory. */
static int
read_ring(Cells *self, PyObject *exemplars)
{
    self->noted = -1;
    if (exemplars == Py_None)
        return 0;
    if (!PyArg_ParseTuple(exemplars, "nnn;exemplars are three places", &self->noted,
                          &self->ring, &self->rows))
        return -1;
    if (self->noted < 0 || self->noted >= self->count || self->ring < 0 || self->rows < 0
        || self->ring > self->count - RING_ENTRIES * RING_WORDS) {
        PyErr_SetString(PyExc_IndexError, "there is no such ring");
        return -1;
    }
    return 0;
}

static PyObject *
cells_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "", "", "", NULL};
    PyObject *memory, *bounds, *exemplars = Py_None;
    Py_ssize_t buckets;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOn|O:Cells", names, &memory, &bounds,
                                     &buckets, &exemplars))
        return NULL;
    Cells *self = (Cells *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->buckets = buckets;
    self->random = ((uint64_t)time(NULL) * 2654435761U ^ (uint64_t)(uintptr_t)self) | 1;
    if (hold(memory, &self->memory) < 0) {
        self->memory.obj = NULL;
        Py_DECREF(self);
        return NULL;
    }
    self->count = self->memory.len / (Py_ssize_t)sizeof(int64_t);
    if (read_bounds(self, bounds) < 0 || read_ring(self, exemplars) < 0) {
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

static void
observe(Cells *self, Py_ssize_t place, int64_t value)
{
    add_to(self, place + self->buckets + bucket_of(self, value), 1);
    add_to(self, place, value);
}

/* Counts what else was measured, the first, second or third number behind the value, for so
   many requests. */
static void
observe_other(Cells *self, Py_ssize_t place, Py_ssize_t which, int64_t number, int64_t requests)
{
    add_to(self, place + 2 * which - 1, requests);
    add_to(self, place + 2 * which, number * requests);
}

static PyObject *
cells_observe(Cells *self, PyObject *const *args, Py_ssize_t size)
{
    enum { MOST = 16 };
    Py_ssize_t place;
    int64_t numbers[MOST];
    if (size < 2 || size > MOST || 2 * size - 3 > self->buckets) {
        PyErr_SetString(PyExc_TypeError, "observe() takes a place, a value and what fits");
        return NULL;
    }
    if (read_place(self, args[0], self->buckets + self->bounds_count + 1, &place) < 0)
        return NULL;
    for (Py_ssize_t i = 1; i < size; i++)
        if ((i == 1 || args[i] != Py_None) && read_int(args[i], &numbers[i]) < 0)
            return NULL;
    observe(self, place, numbers[1]);
    for (Py_ssize_t i = 2; i < size; i++)
        if (args[i] != Py_None)
            observe_other(self, place, i - 1, numbers[i], 1);
    Py_RETURN_NONE;
}

static int64_t
clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int
hex_digit(Py_UCS1 letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    letter |= 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* Reads an ID of 32 hexadecimal digits, or of none, as the bytes of two words. */
static int
read_id(PyObject *text, int64_t words[ID_WORDS])
{
    unsigned char bytes[ID_DIGITS / 2] = {0};
    int wrong = !PyUnicode_CheckExact(text) || !PyUnicode_IS_ASCII(text);
    Py_ssize_t digits = wrong ? 0 : PyUnicode_GET_LENGTH(text);
    wrong |= digits != 0 && digits != ID_DIGITS;
    for (Py_ssize_t at = 0; !wrong && at < digits; at++) {
        int digit = hex_digit(PyUnicode_1BYTE_DATA(text)[at]);
        wrong = digit < 0;
        bytes[at / 2] = (unsigned char)(bytes[at / 2] << 4 | (digit & 0xF));
    }
    if (wrong) {
        PyErr_SetString(PyExc_ValueError, "an ID has 32 hexadecimal digits");
        return -1;
    }
    memcpy(words, bytes, sizeof bytes);
    return 0;
}

/* Writes the next entry of the ring. A reader takes one only where it finds the same number
   before and after: none while it is being written. */
static void
write_exemplar(Cells *self, const int64_t entry[RING_WORDS - 1])
{
    volatile int64_t *words = self->memory.buf;
    uint64_t number = (uint64_t)words[self->noted];
    volatile int64_t *at = words + self->ring + number % RING_ENTRIES * RING_WORDS;
    at[0] = 0;
    atomic_thread_fence(memory_order_release);
    for (int i = 1; i < RING_WORDS; i++)
        at[i] = entry[i - 1];
    atomic_thread_fence(memory_order_release);
    at[0] = (int64_t)(number + 1);
    words[self->noted] = (int64_t)(number + 1);
}

static PyObject *
cells_add_exemplar(Cells *self, PyObject *const *args, Py_ssize_t size)
{
    Py_ssize_t place, width = self->buckets + self->bounds_count + 1;
    int64_t entry[RING_WORDS - 1];
    if (size != 4 || self->noted < 0) {
        PyErr_SetString(PyExc_TypeError, "add_exemplar() takes a place, a value and two IDs, "
                                         "where there is a ring");
        return NULL;
    }
    if (read_place(self, args[0], width, &place) < 0 || read_int(args[1], &entry[1]) < 0
        || read_id(args[2], &entry[3]) < 0 || read_id(args[3], &entry[5]) < 0)
        return NULL;
    if (place < self->rows) {
        PyErr_SetString(PyExc_IndexError, "there is no such histogram");
        return NULL;
    }
    entry[0] = (place - self->rows) / width << 16 | bucket_of(self, entry[1]);
    entry[2] = clock_ns(CLOCK_REALTIME);
    write_exemplar(self, entry);
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
    {"add_exemplar", (PyCFunction)(void (*)(void))cells_add_exemplar, METH_FASTCALL, NULL},
    {"forget_lock", (PyCFunction)cells_forget_lock, METH_NOARGS, NULL},
    {"move_to", (PyCFunction)cells_move_to, METH_VARARGS, NULL},
    {"observe", (PyCFunction)(void (*)(void))cells_observe, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef cells_members[] = {
    {"due_ns", T_LONGLONG, offsetof(Cells, due_ns), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot cells_slots[] = {
    {Py_tp_new, cells_new},
    {Py_tp_dealloc, cells_dealloc},
    {Py_tp_members, cells_members},
    {Py_tp_methods, cells_methods},
    {0, NULL},
};

static PyType_Spec cells_spec = {
    .name = "flaskprof.metrics._request.Cells",
    .basicsize = sizeof(Cells),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = cells_slots,
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

/* Returns the number that a text is, of at most fifteen digits; -1 if it is none. */
static int64_t
number_in(PyObject *text)
{
    if (!PyUnicode_CheckExact(text) || !PyUnicode_IS_ASCII(text))
        return -1;
    Py_ssize_t digits = PyUnicode_GET_LENGTH(text);
    if (digits < 1 || digits > 15)
        return -1;
    int64_t number = 0;
    for (Py_ssize_t at = 0; at < digits; at++) {
        Py_UCS1 digit = PyUnicode_1BYTE_DATA(text)[at];
        if (!Py_ISDIGIT(digit))
            return -1;
        number = number * 10 + (digit - '0');
    }
    return number;
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
        int64_t length = number_in(PyTuple_GET_ITEM(header, 1));
        if (length < 0)
            Py_RETURN_NONE;
        return PyLong_FromLongLong(length);
    }
    Py_RETURN_NONE;
}

/* Visit: one request. What is ordinary is done here, all else by the methods of the same
   object in Python: see visit.py. */

enum {
    MEASURE_CPU = 1,
    MEASURE_LENGTH = 2,
    MEASURE_MORE = 4,
    MEASURE_EVERY_CPU = 8,
    MEASURE_QUEUE = 16,
    MEASURE_TRACES = 32,
};

/* Of so many requests one is measured, at random, and counted for all of them. */
enum { CPU_SHARE = 16 };

/* What is in a plan, and where: see visit.py. */
enum {
    PLAN_CELLS,
    PLAN_ACTIVE,
    PLAN_FIND_ACTIVE,
    PLAN_PLACES,
    PLAN_MEASURES,
    PLAN_FLIGHTS,
    PLAN_USUAL,
    PLAN_SIZE
};

/* What is in a flight, and where: see flights.py. */
enum { FLIGHT_METHOD, FLIGHT_STARTED, FLIGHT_THREAD, FLIGHT_ENVIRON, FLIGHT_MATCH, FLIGHT_SIZE };

/* One request in 64, of which nobody can say in advance which, is left to Python, where it
   is timed for what it cost us. */
static const int64_t OWN_MASK = 63 << 10;

typedef struct {
    PyTypeObject *body;
    PyObject *abandon;
    PyObject *close;
    PyObject *conclude;
    PyObject *empty;
    PyObject *end;
    PyObject *fail;
    PyObject *follow;
    PyObject *get_ident; /* threading's, which greenlets may have replaced */
    PyObject *is_counted;
    PyObject *note_queue;
    PyObject *note_start;
    PyObject *queue_start;
    PyObject *request_method;
    PyObject *request_start;
    PyObject *route;
    PyObject *start_response;
    PyObject *traceparent;
} State;

static struct PyModuleDef module_definition;

typedef struct {
    PyObject_HEAD
    Cells *cells; /* NULL before it is started and once it has ended */
    Py_ssize_t active;
    int measures;
    char is_left_out;
    char is_plain;
    unsigned long thread; /* 0 where processor time is not measured */
    int64_t thread_started_ns;
    long long entered_ns;
    long long started_ns;
    PyObject *environ;
    PyObject *exception;
    PyObject *flight;
    PyObject *label;
    PyObject *length;
    PyObject *match;
    PyObject *method;
    PyObject *name_route;
    PyObject *plan;
    PyObject *queries;
    PyObject *queued_ns;
    PyObject *server;
    PyObject *status;
    PyObject *stream;
    PyObject *noted_trace;
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
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static State *
state_of(void *object)
{
    PyObject *module = PyType_GetModuleByDef(Py_TYPE((PyObject *)object), &module_definition);
    return module == NULL ? NULL : PyModule_GetState(module);
}

/* Whether this request is one of the few whose processor time is measured: xorshift64*, by
   Marsaglia and Vigna. */
static int
is_sampled(Cells *cells)
{
    cells->random ^= cells->random >> 12;
    cells->random ^= cells->random << 25;
    cells->random ^= cells->random >> 27;
    return (cells->random * 0x2545F4914F6CDD1DULL) >> 60 == 0;
}

/* Shows the request among those in flight; -1 with an exception. */
static int
take_off(Visit *self, State *state, PyObject *entered)
{
    PyObject *flight = PyList_New(FLIGHT_SIZE);
    if (flight == NULL)
        return -1;
    PyObject *thread = PyObject_CallNoArgs(state->get_ident);
    PyObject *key = PyLong_FromVoidPtr(flight);
    int done = -1;
    if (thread != NULL && key != NULL) {
        PyList_SET_ITEM(flight, FLIGHT_METHOD, Py_NewRef(self->method));
        PyList_SET_ITEM(flight, FLIGHT_STARTED, Py_NewRef(entered));
        PyList_SET_ITEM(flight, FLIGHT_THREAD, Py_NewRef(thread));
        PyList_SET_ITEM(flight, FLIGHT_ENVIRON, Py_NewRef(self->environ));
        PyList_SET_ITEM(flight, FLIGHT_MATCH, Py_NewRef(Py_None));
        done = PyDict_SetItem(PyTuple_GET_ITEM(self->plan, PLAN_FLIGHTS), key, flight);
    }
    Py_XDECREF(thread);
    Py_XDECREF(key);
    Py_XSETREF(self->flight, flight);
    return done;
}

static void
land(Visit *self)
{
    PyObject *key = self->flight == NULL ? NULL : PyLong_FromVoidPtr(self->flight);
    if (key == NULL || PyDict_DelItem(PyTuple_GET_ITEM(self->plan, PLAN_FLIGHTS), key) < 0)
        PyErr_Clear();
    Py_XDECREF(key);
}

/* Notes what the environ tells before the application is called; -1 with an exception. */
static int
note_arrival(Visit *self, State *state)
{
    if (self->measures & MEASURE_TRACES) {
        int is_traced = PyDict_Contains(self->environ, state->traceparent);
        if (is_traced < 0)
            return -1;
        self->is_plain &= !is_traced;
    }
    if (!(self->measures & MEASURE_QUEUE))
        return 0;
    int is_queued = PyDict_Contains(self->environ, state->request_start);
    if (is_queued == 0)
        is_queued = PyDict_Contains(self->environ, state->queue_start);
    if (is_queued <= 0)
        return is_queued;
    PyObject *noted = PyObject_CallMethodNoArgs((PyObject *)self, state->note_queue);
    Py_XDECREF(noted);
    return noted == NULL ? -1 : 0;
}

/* Reads the place of the word that counts active requests of this method. */
static int
read_active(Visit *self, Cells *cells)
{
    PyObject *place = PyDict_GetItemWithError(PyTuple_GET_ITEM(self->plan, PLAN_ACTIVE),
                                              self->method);
    if (place == NULL && PyErr_Occurred())
        return -1;
    place = place != NULL ? Py_NewRef(place)
                          : PyObject_CallOneArg(
                                PyTuple_GET_ITEM(self->plan, PLAN_FIND_ACTIVE), self->method);
    int done = place == NULL ? -1 : read_place(cells, place, 1, &self->active);
    Py_XDECREF(place);
    return done;
}

static PyObject *
visit_start(Visit *self, PyObject *const *args, Py_ssize_t size)
{
    State *state = state_of(self);
    if (state == NULL)
        return NULL;
    if (size != 5 || !PyTuple_Check(args[0]) || PyTuple_GET_SIZE(args[0]) < PLAN_SIZE
        || !PyDict_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "start() takes a plan, when we were called, an "
                                         "environ, start_response and what names the route");
        return NULL;
    }
    PyObject *plan = args[0];
    Cells *cells = (Cells *)PyTuple_GET_ITEM(plan, PLAN_CELLS);
    if (Py_TYPE(cells)->tp_dealloc != (destructor)cells_dealloc
        || !PyDict_Check(PyTuple_GET_ITEM(plan, PLAN_ACTIVE))
        || !PyDict_Check(PyTuple_GET_ITEM(plan, PLAN_PLACES))
        || !PyDict_Check(PyTuple_GET_ITEM(plan, PLAN_FLIGHTS))) {
        PyErr_SetString(PyExc_TypeError, "not a plan");
        return NULL;
    }
    if (self->plan != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it was started before");
        return NULL;
    }
    int64_t measures, entered;
    PyObject *method;
    if (read_int(PyTuple_GET_ITEM(plan, PLAN_MEASURES), &measures) < 0
        || read_int(args[1], &entered) < 0
        || (method = PyObject_GetItem(args[2], state->request_method)) == NULL)
        return NULL;
    self->plan = Py_NewRef(plan);
    self->method = method;
    self->environ = Py_NewRef(args[2]);
    self->server = Py_NewRef(args[3]);
    self->name_route = Py_NewRef(args[4]);
    self->status = Py_NewRef(state->empty);
    self->measures = (int)measures;
    self->is_plain = !(measures & MEASURE_MORE);
    self->entered_ns = entered;
    if (note_arrival(self, state) < 0 || read_active(self, cells) < 0
        || take_off(self, state, args[1]) < 0)
        return NULL;
    self->cells = (Cells *)Py_NewRef(cells);
    add_to(cells, self->active, 1);
    if (measures & MEASURE_EVERY_CPU || (measures & MEASURE_CPU && is_sampled(cells))) {
        self->thread = PyThread_get_thread_ident();
        self->thread_started_ns = thread_ns();
    }
    self->started_ns = now_ns();
    Py_RETURN_NONE;
}

/* The exception that is set, with the one way of each version. */
typedef struct {
    PyObject *type, *value, *traceback;
} Raised;

static Raised
take_exception(void)
{
    Raised raised = {NULL, NULL, NULL};
#if PY_VERSION_HEX >= 0x030C0000
    raised.value = PyErr_GetRaisedException();
#else
    PyErr_Fetch(&raised.type, &raised.value, &raised.traceback);
    PyErr_NormalizeException(&raised.type, &raised.value, &raised.traceback);
    if (raised.traceback != NULL)
        (void)PyException_SetTraceback(raised.value, raised.traceback);
#endif
    return raised;
}

static void
raise_again(Raised raised)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(raised.value);
#else
    PyErr_Restore(raised.type, raised.value, raised.traceback);
#endif
}

/* Tells the visit of an exception of the application's, which goes on to the server. */
static PyObject *
failed(PyObject *visit, State *state)
{
    Raised raised = take_exception();
    PyObject *told = PyObject_CallMethodOneArg(visit, state->fail, raised.value);
    if (told == NULL)
        PyErr_WriteUnraisable(visit);
    Py_XDECREF(told);
    raise_again(raised);
    return NULL;
}

/* What is in flight has the environ only while the application is called. */
static int
put_down_environ(Visit *self)
{
    if (self->flight == NULL || !PyList_CheckExact(self->flight))
        return 0;
    return PyList_SetItem(self->flight, FLIGHT_ENVIRON, Py_NewRef(Py_None));
}

typedef struct {
    PyObject_HEAD
    PyObject *result;
    PyObject *visit;
    char is_closed;
} Body;

static PyObject *
body_for(PyTypeObject *type, PyObject *result, PyObject *visit)
{
    Body *self = (Body *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->result = Py_NewRef(result);
    self->visit = Py_NewRef(visit);
    return (PyObject *)self;
}

static PyObject *
visit_run(Visit *self, PyObject *app)
{
    State *state = state_of(self);
    if (state == NULL)
        return NULL;
    if (self->environ == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it was not started");
        return NULL;
    }
    PyObject *start_response = PyObject_GetAttr((PyObject *)self, state->start_response);
    if (start_response == NULL)
        return NULL;
    PyObject *environ = Py_NewRef(self->environ);
    PyObject *args[] = {environ, start_response};
    PyObject *result = PyObject_Vectorcall(app, args, 2, NULL);
    Py_DECREF(start_response);
    PyObject *body = NULL;
    if (result == NULL)
        (void)failed((PyObject *)self, state);
    else if (put_down_environ(self) == 0) {
        /* The usual result has no length, and is to be closed. */
        if (self->is_plain
            && (PyObject *)Py_TYPE(result) == PyTuple_GET_ITEM(self->plan, PLAN_USUAL))
            body = body_for(state->body, result, (PyObject *)self);
        else
            body = PyObject_CallMethodObjArgs((PyObject *)self, state->follow, result, environ,
                                              NULL);
    }
    Py_DECREF(environ);
    Py_XDECREF(result);
    return body;
}

/* Notes route and length; -1 with an exception where that is for Python to do. */
static int
note_start(Visit *self, PyObject *headers)
{
    PyObject *match = PyObject_CallOneArg(self->name_route, self->environ);
    if (match == NULL)
        return -1;
    Py_XSETREF(self->match, match);
    if (self->flight != NULL && PyList_CheckExact(self->flight)
        && PyList_SetItem(self->flight, FLIGHT_MATCH, Py_NewRef(match)) < 0)
        return -1;
    if (self->measures & MEASURE_LENGTH) {
        PyObject *length = content_length(NULL, headers);
        if (length == NULL)
            return -1;
        Py_XSETREF(self->length, length);
    }
    return 0;
}

/* Reads the arguments of start_response(), of which a server knows these by position. */
static int
read_arguments(PyObject *const *args, Py_ssize_t size, PyObject *names, PyObject **found)
{
    static const char *known[] = {"status", "headers", "exc_info"};
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    for (Py_ssize_t i = 0; i < size && i < 3; i++)
        found[i] = args[i];
    for (Py_ssize_t i = 0; i < named; i++)
        for (int at = 0; at < 3; at++)
            if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), known[at]) == 0)
                found[at] = args[size + i];
    int count = (found[0] != NULL) + (found[1] != NULL) + (found[2] != NULL);
    if (found[0] == NULL || found[1] == NULL || size + named != count) {
        PyErr_SetString(PyExc_TypeError,
                        "start_response() takes a status, headers and perhaps exc_info");
        return -1;
    }
    return 0;
}

static PyObject *
visit_start_response(Visit *self, PyObject *const *args, Py_ssize_t size, PyObject *names)
{
    PyObject *found[3] = {NULL, NULL, NULL};
    if (read_arguments(args, size, names, found) < 0)
        return NULL;
    if (self->server == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "it was not started");
        return NULL;
    }
    Py_XSETREF(self->status, Py_NewRef(found[0]));
    if (!self->is_plain || note_start(self, found[1]) < 0) {
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
        State *state = state_of(self);
        if (state == NULL)
            return NULL;
        PyObject *noted = PyObject_CallMethodOneArg((PyObject *)self, state->note_start,
                                                    found[1]);
        if (noted == NULL)
            return NULL;
        Py_DECREF(noted);
    }
    size = found[2] == NULL || found[2] == Py_None ? 2 : 3;
    return PyObject_Vectorcall(self->server, found, (size_t)size, NULL);
}

/* Returns the place of an ordinary request's label set; -1 where Python has to look. */
static Py_ssize_t
place_of(Visit *self, State *state)
{
    Py_ssize_t found = -1;
    PyObject *route = NULL, *is_counted = NULL, *code = NULL, *labels = NULL, *place = NULL;
    if (self->match == NULL || !PyUnicode_Check(self->status)
        || PyUnicode_GET_LENGTH(self->status) < 3)
        return -1;
    if ((route = PyObject_GetAttr(self->match, state->route)) != NULL
        && PyUnicode_Check(route) && PyUnicode_GET_LENGTH(route) > 0
        && (is_counted = PyObject_GetAttr(self->match, state->is_counted)) == Py_True
        && (code = PyUnicode_Substring(self->status, 0, 3)) != NULL
        && (labels = PyTuple_Pack(4, self->method, route, code, state->empty)) != NULL
        && (place = PyDict_GetItemWithError(
                   PyTuple_GET_ITEM(self->plan, PLAN_PLACES), labels)) != NULL)
        found = PyLong_AsSsize_t(place);
    PyErr_Clear();
    Py_XDECREF(route);
    Py_XDECREF(is_counted);
    Py_XDECREF(code);
    Py_XDECREF(labels);
    return found;
}

/* Reads a number that may not be known; -1 then. */
static int64_t
read_known(PyObject *number)
{
    int64_t found = -1;
    if (number != NULL && number != Py_None && read_int(number, &found) < 0)
        PyErr_Clear();
    return found;
}

/* Counts an ordinary request; false where that is for Python to do. */
static int
count(Visit *self, Cells *cells, State *state, int64_t ended, int64_t spent)
{
    if (!self->is_plain || ended >= cells->due_ns || (ended & OWN_MASK) == 0)
        return 0;
    Py_ssize_t place = place_of(self, state);
    if (place < 0 || place > cells->count - cells->buckets - cells->bounds_count - 1)
        return 0;
    int64_t others[] = {spent, read_known(self->queued_ns), read_known(self->length)};
    if (PyUnicode_CompareWithASCIIString(self->method, "HEAD") == 0)
        others[2] = -1;
    observe(cells, place, ended - self->started_ns);
    int share = self->measures & MEASURE_EVERY_CPU ? 1 : CPU_SHARE;
    for (int i = 0; i < 3; i++)
        if (others[i] >= 0)
            observe_other(cells, place, i + 1, others[i], i == 0 ? share : 1);
    return 1;
}

static PyObject *
visit_end(Visit *self, PyObject *ignored)
{
    (void)ignored;
    int64_t ended = now_ns();
    State *state = state_of(self);
    Cells *cells = self->cells;
    if (state == NULL)
        return NULL;
    if (cells == NULL)
        Py_RETURN_NONE;
    self->cells = NULL;
    land(self);
    add_to(cells, self->active, -1);
    int64_t spent = -1;
    if (self->thread != 0 && self->thread == PyThread_get_thread_ident())
        spent = thread_ns() - self->thread_started_ns;
    PyObject *done = NULL;
    if (count(self, cells, state, ended, spent))
        done = Py_NewRef(Py_None);
    else {
        PyObject *end = PyLong_FromLongLong(ended);
        PyObject *duration = PyLong_FromLongLong(ended - self->started_ns);
        PyObject *cpu = spent < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(spent);
        if (end != NULL && duration != NULL && cpu != NULL)
            done = PyObject_CallMethodObjArgs((PyObject *)self, state->conclude, end, duration,
                                              cpu, NULL);
        Py_XDECREF(end);
        Py_XDECREF(duration);
        Py_XDECREF(cpu);
    }
    Py_DECREF(cells);
    /* The environ holds this object too; without the cycle both go at once. */
    Py_CLEAR(self->environ);
    return done;
}

static int
visit_traverse(Visit *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->cells);
    Py_VISIT(self->environ);
    Py_VISIT(self->exception);
    Py_VISIT(self->flight);
    Py_VISIT(self->label);
    Py_VISIT(self->length);
    Py_VISIT(self->match);
    Py_VISIT(self->method);
    Py_VISIT(self->name_route);
    Py_VISIT(self->plan);
    Py_VISIT(self->queries);
    Py_VISIT(self->queued_ns);
    Py_VISIT(self->server);
    Py_VISIT(self->status);
    Py_VISIT(self->stream);
    Py_VISIT(self->noted_trace);
    return 0;
}

static int
visit_clear(Visit *self)
{
    Py_CLEAR(self->cells);
    Py_CLEAR(self->environ);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->flight);
    Py_CLEAR(self->label);
    Py_CLEAR(self->length);
    Py_CLEAR(self->match);
    Py_CLEAR(self->method);
    Py_CLEAR(self->name_route);
    Py_CLEAR(self->plan);
    Py_CLEAR(self->queries);
    Py_CLEAR(self->queued_ns);
    Py_CLEAR(self->server);
    Py_CLEAR(self->status);
    Py_CLEAR(self->stream);
    Py_CLEAR(self->noted_trace);
    return 0;
}

static void
visit_dealloc(Visit *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)visit_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
visit_is_over(Visit *self, void *ignored)
{
    (void)ignored;
    return PyBool_FromLong(self->cells == NULL);
}

static PyMethodDef visit_methods[] = {
    {"end", (PyCFunction)visit_end, METH_NOARGS, NULL},
    {"run", (PyCFunction)visit_run, METH_O, NULL},
    {"start", (PyCFunction)(void (*)(void))visit_start, METH_FASTCALL, NULL},
    {"start_response", (PyCFunction)(void (*)(void))visit_start_response,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef visit_getters[] = {
    {"is_over", (getter)visit_is_over, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* What was not set is None. */
static PyMemberDef visit_members[] = {
    {"entered_ns", T_LONGLONG, offsetof(Visit, entered_ns), READONLY, NULL},
    {"environ", T_OBJECT, offsetof(Visit, environ), 0, NULL},
    {"exception", T_OBJECT, offsetof(Visit, exception), 0, NULL},
    {"flight", T_OBJECT, offsetof(Visit, flight), READONLY, NULL},
    {"is_plain", T_BOOL, offsetof(Visit, is_plain), 0, NULL},
    {"is_left_out", T_BOOL, offsetof(Visit, is_left_out), 0, NULL},
    {"label", T_OBJECT, offsetof(Visit, label), 0, NULL},
    {"length", T_OBJECT, offsetof(Visit, length), 0, NULL},
    {"match", T_OBJECT, offsetof(Visit, match), 0, NULL},
    {"method", T_OBJECT, offsetof(Visit, method), READONLY, NULL},
    {"name_route", T_OBJECT, offsetof(Visit, name_route), 0, NULL},
    {"noted_trace", T_OBJECT, offsetof(Visit, noted_trace), 0, NULL},
    {"plan", T_OBJECT, offsetof(Visit, plan), READONLY, NULL},
    {"queries", T_OBJECT, offsetof(Visit, queries), 0, NULL},
    {"queued_ns", T_OBJECT, offsetof(Visit, queued_ns), 0, NULL},
    {"started_ns", T_LONGLONG, offsetof(Visit, started_ns), READONLY, NULL},
    {"status", T_OBJECT, offsetof(Visit, status), 0, NULL},
    {"stream", T_OBJECT, offsetof(Visit, stream), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot visit_slots[] = {
    {Py_tp_dealloc, visit_dealloc},
    {Py_tp_traverse, visit_traverse},
    {Py_tp_clear, visit_clear},
    {Py_tp_methods, visit_methods},
    {Py_tp_getset, visit_getters},
    {Py_tp_members, visit_members},
    {0, NULL},
};

static PyType_Spec visit_spec = {
    .name = "flaskprof.metrics._request.Visit",
    .basicsize = sizeof(Visit),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = visit_slots,
};

/* Body: the application's result, with the end of its visit tied to close(). */

static PyObject *
body_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    if (PyTuple_GET_SIZE(args) != 2 || keywords != NULL) {
        PyErr_SetString(PyExc_TypeError, "Body() takes a result and its visit");
        return NULL;
    }
    return body_for(type, PyTuple_GET_ITEM(args, 0), PyTuple_GET_ITEM(args, 1));
}

static PyObject *
body_iter(Body *self)
{
    return PyObject_GetIter(self->result);
}

static PyObject *
body_close(Body *self, PyObject *ignored)
{
    (void)ignored;
    State *state = state_of(self);
    if (state == NULL)
        return NULL;
    self->is_closed = 1;
    PyObject *close = PyObject_GetAttr(self->result, state->close);
    if (close == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear();
    else {
        PyObject *closed = close == NULL ? NULL : PyObject_CallNoArgs(close);
        Py_XDECREF(close);
        if (closed == NULL)
            return failed(self->visit, state);
        Py_DECREF(closed);
    }
    return PyObject_CallMethodNoArgs(self->visit, state->end);
}

static void
body_finalize(Body *self)
{
    State *state = self->is_closed || self->visit == NULL ? NULL : state_of(self);
    if (state == NULL)
        return;
    int is_raised = PyErr_Occurred() != NULL;
    Raised raised = is_raised ? take_exception() : (Raised){NULL, NULL, NULL};
    PyObject *done = PyObject_CallMethodNoArgs(self->visit, state->abandon);
    if (done == NULL)
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(done);
    if (is_raised)
        raise_again(raised);
}

static int
body_traverse(Body *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->result);
    Py_VISIT(self->visit);
    return 0;
}

static int
body_clear(Body *self)
{
    Py_CLEAR(self->result);
    Py_CLEAR(self->visit);
    return 0;
}

static void
body_dealloc(Body *self)
{
    if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0)
        return;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)body_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef body_methods[] = {
    {"close", (PyCFunction)body_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot body_slots[] = {
    {Py_tp_new, body_new},
    {Py_tp_dealloc, body_dealloc},
    {Py_tp_finalize, body_finalize},
    {Py_tp_traverse, body_traverse},
    {Py_tp_clear, body_clear},
    {Py_tp_iter, body_iter},
    {Py_tp_methods, body_methods},
    {0, NULL},
};

static PyType_Spec body_spec = {
    .name = "flaskprof.metrics._request.Body",
    .basicsize = sizeof(Body),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = body_slots,
};

static PyMethodDef module_methods[] = {
    {"content_length", content_length, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    struct {
        PyObject **kept;
        const char *text;
    } words[] = {
        {&state->abandon, "abandon"},
        {&state->close, "close"},
        {&state->conclude, "conclude"},
        {&state->empty, ""},
        {&state->end, "end"},
        {&state->fail, "fail"},
        {&state->follow, "follow"},
        {&state->is_counted, "is_counted"},
        {&state->note_queue, "note_queue"},
        {&state->note_start, "note_start"},
        {&state->queue_start, "HTTP_X_QUEUE_START"},
        {&state->request_method, "REQUEST_METHOD"},
        {&state->request_start, "HTTP_X_REQUEST_START"},
        {&state->route, "route"},
        {&state->start_response, "start_response"},
        {&state->traceparent, "HTTP_TRACEPARENT"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((*words[i].kept = PyUnicode_InternFromString(words[i].text)) == NULL)
            return -1;
    PyObject *threading = PyImport_ImportModule("threading");
    if (threading == NULL)
        return -1;
    state->get_ident = PyObject_GetAttrString(threading, "get_ident");
    Py_DECREF(threading);
    if (state->get_ident == NULL)
        return -1;
    PyType_Spec *specs[] = {&body_spec, &cells_spec, &visit_spec};
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        PyObject *type = PyType_FromModuleAndSpec(module, specs[i], NULL);
        if (type == NULL)
            return -1;
        int added = PyModule_AddType(module, (PyTypeObject *)type);
        if (specs[i] == &body_spec)
            state->body = (PyTypeObject *)Py_NewRef(type);
        Py_DECREF(type);
        if (added < 0)
            return -1;
    }
    if (PyModule_AddIntConstant(module, "OWN_MASK", (long)OWN_MASK) < 0
        || PyModule_AddIntMacro(module, CPU_SHARE) < 0
        || PyModule_AddIntMacro(module, MEASURE_CPU) < 0
        || PyModule_AddIntMacro(module, MEASURE_EVERY_CPU) < 0
        || PyModule_AddIntMacro(module, MEASURE_LENGTH) < 0
        || PyModule_AddIntMacro(module, MEASURE_MORE) < 0
        || PyModule_AddIntMacro(module, MEASURE_QUEUE) < 0
        || PyModule_AddIntMacro(module, MEASURE_TRACES) < 0
        || PyModule_AddIntMacro(module, RING_ENTRIES) < 0
        || PyModule_AddIntMacro(module, RING_WORDS) < 0)
        return -1;
    return 0;
}

static int
module_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->body);
    Py_CLEAR(state->abandon);
    Py_CLEAR(state->close);
    Py_CLEAR(state->conclude);
    Py_CLEAR(state->empty);
    Py_CLEAR(state->end);
    Py_CLEAR(state->fail);
    Py_CLEAR(state->follow);
    Py_CLEAR(state->get_ident);
    Py_CLEAR(state->is_counted);
    Py_CLEAR(state->note_queue);
    Py_CLEAR(state->note_start);
    Py_CLEAR(state->queue_start);
    Py_CLEAR(state->request_method);
    Py_CLEAR(state->request_start);
    Py_CLEAR(state->route);
    Py_CLEAR(state->start_response);
    Py_CLEAR(state->traceparent);
    return 0;
}

static void
module_free(void *module)
{
    (void)module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "flaskprof.metrics._request",
    .m_size = sizeof(State),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__request(void)
{
    return PyModuleDef_Init(&module_definition);
}
