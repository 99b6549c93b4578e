/* The recorder of exact call trees.
 *
 * A Recording grows a calling-context tree: one node for each distinct stack, with the
 * calls made on it and the nanoseconds spent in it without callees. Which recordings see
 * an event is decided by the thread: each thread that records has a `Thread` with a list
 * of the recordings that run on it, and a thread without one leaves every callback at
 * once. Since Python 3.12 events come from sys.monitoring, with a tool ID of our own that
 * is held as long as a recording lives; on 3.11 they come from PyEval_SetProfile, which is
 * per thread anyhow.
 *
 * Rules that hold throughout:
 * - Everything here runs under the GIL; no lock is taken, so that all of it may be called
 *   from __del__, from signal handlers and from the collector.
 * - A callback never raises, never runs Python code and leaves the current exception
 *   alone. What goes wrong marks the recording as lost, with a reason; a lost recording
 *   gives no profile, so that a profile is whole or absent.
 * - A node is at its caller's `first` when it was called last, and the running node leads
 *   to its callers by `parent`: the tree is its own stack, and self times are what passes
 *   between two events. So totals sum exactly, and a deep stack needs no second memory.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <opcode.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <structmember.h>
#include <time.h>

#ifdef _WIN32
#error "the call-tree engine knows POSIX clocks only; flaskprof works without it"
#endif
#if PY_VERSION_HEX < 0x030b0000
#error "the call-tree engine needs Python 3.11"
#endif
#if PY_VERSION_HEX >= 0x030c0000
#define HAS_MONITORING 1
#else
#define HAS_MONITORING 0
#endif
#if defined(__x86_64__) && defined(__linux__)
#define HAS_TSC 1
#include <cpuid.h>
#include <x86intrin.h>
#else
#define HAS_TSC 0
#endif

#define TOOL_NAME "flaskprof"
#define DEFAULT_MAX_NODES 200000
/* Beyond so many children a node finds them by hash: scanning a list of thousands at each
   call would make a wide tree quadratic. */
#define MAX_LISTED_CHILDREN 8
#define FIRST_CHUNK 64
#define LARGEST_CHUNK 8192
/* How far up a return looks for its call when an event in between was lost. */
#define MAX_SKIPPED 1000

/* ---- the current exception, put aside and put back ---------------------------------- */

#if PY_VERSION_HEX >= 0x030c0000
typedef PyObject *Raised;

static Raised
put_aside(void)
{
    return PyErr_GetRaisedException();
}

static void
put_back(Raised raised)
{
    PyErr_SetRaisedException(raised);
}
#else
typedef struct {
    PyObject *type, *value, *traceback;
} Raised;

static Raised
put_aside(void)
{
    Raised raised;
    PyErr_Fetch(&raised.type, &raised.value, &raised.traceback);
    return raised;
}

static void
put_back(Raised raised)
{
    PyErr_Restore(raised.type, raised.value, raised.traceback);
}
#endif

/* ---- clocks ------------------------------------------------------------------------- */

static int64_t
monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t
thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

typedef struct {
    int64_t ticks, ns;
} ClockPair;

/* Both clocks at one instant: the closest of a few readings, because a thread may be
   interrupted between the two. */
static ClockPair
read_clocks(void)
{
    ClockPair best = {0, monotonic_ns()};
#if HAS_TSC
    int64_t narrowest = INT64_MAX;
    for (int i = 0; i < 3; i++) {
        int64_t before = (int64_t)__rdtsc();
        int64_t ns = monotonic_ns();
        int64_t after = (int64_t)__rdtsc();
        if (after - before < narrowest) {
            narrowest = after - before;
            best.ticks = before + (after - before) / 2;
            best.ns = ns;
        }
    }
#else
    best.ticks = best.ns;
#endif
    return best;
}

/* The time-stamp counter is used only where it ticks at a constant rate through all power
   states and the kernel itself keeps time by it, and so has checked it on every core. */
static int
tsc_is_trusted(void)
{
#if HAS_TSC
    unsigned int a, b, c, d;
    if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & (1u << 8))) {
        return 0;
    }
    FILE *file =
        fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
    if (file == NULL) {
        return 0;
    }
    char source[16] = "";
    int is_tsc = fgets(source, sizeof source, file) != NULL && strcmp(source, "tsc\n") == 0;
    fclose(file);
    return is_tsc;
#else
    return 0;
#endif
}

/* ---- the tree ----------------------------------------------------------------------- */

typedef struct Node Node;
struct Node {
    const void *key; /* code object or PyMethodDef; &more_key; NULL in the root */
    Node *parent, *first, *next;
    Node **table; /* children by hash, once they are many; `first` is then the last called */
    uint64_t calls;
    int64_t self;      /* clock ticks */
    int depth; /* how deep the frame that entered it last was in Python's stack; 0: builtin */
    uint32_t children; /* how many; while results are built, the node's own place in them */
};

/* Nodes live in chunks, in the order in which they were made, and are freed with them. */
typedef struct Chunk Chunk;
struct Chunk {
    Chunk *previous;
    uint32_t used, size;
    Node nodes[];
};

/* A function as the tree knows it: by the address of its code object or method
   definition. `owner` is what keeps that address from being used again while we hold it:
   the code object, or the descriptor or builtin that the definition belongs to. A builtin
   bound to an object of the application is not held, since that would keep the object
   alive; its definition nearly always belongs to a type or module that is. */
typedef struct {
    const void *key;
    PyObject *owner; /* NULL: `name` says all */
    PyObject *name;  /* NULL: the owner's code or repr */
} Known;

/* A call that waits for what is recorded elsewhere. */
typedef struct Hold Hold;
struct Hold {
    Hold *previous;
    Node *current, *base; /* as they were */
    uint32_t more_depth;
};

typedef struct Recording Recording;
typedef struct Thread Thread;

struct Recording {
    PyObject_HEAD
    /* what every event touches */
    Node *current;
    int64_t last; /* ticks at the last event */
    Recording *next;
    Node *base; /* what calls the first functions of a segment: the root, or who holds */
    int has_tsc;
    uint32_t more_depth; /* open calls inside the "(more)" node that is current */
    Node root;
    Hold *hold;
    /* memory */
    Chunk *chunks;
    uint32_t nodes, max_nodes;
    Known *known;
    uint32_t *known_table; /* places in `known`, plus one; zero is free */
    uint32_t known_used, known_size;
    /* life */
    Thread *thread; /* where it runs or is parked; NULL while it is off */
    const void *greenlet; /* an identity, never followed */
    const char *lost;     /* why there is no profile */
    int is_holding, is_stopped, is_taken, is_full, has_threads, is_mixed;
    unsigned long epoch, forks;
    uint64_t orphans; /* returns that had lost their call */
    int64_t cpu_ns, cpu_start;
    ClockPair born;
    double ns_per_tick;
};

/* What one thread records. Owned by a capsule in the thread state's dictionary, so that a
   thread that ends in the middle of a recording lets go of it. */
struct Thread {
    Recording *running;
    Recording *parked; /* recordings of greenlets that are switched out */
    PyObject *previous_trace; /* the greenlet trace function that ours replaced */
    int is_in_hook;
#if !HAS_MONITORING
    const void *entered; /* the frame that the last event entered, an identity */
#endif
};

static const char more_key = 0;
static ClockPair process_start;
/* Raised when all that runs is to be forgotten: at a fork, and at the end. */
static unsigned long epoch, forks;
static int is_closed;

#if defined(__GLIBC__)
/* One pointer fits into what glibc reserves for libraries that are loaded late, and the
   access is then a single instruction instead of a call. */
static __thread Thread *here __attribute__((tls_model("initial-exec")));
#else
static __thread Thread *here;
#endif

static inline int64_t
now(const Recording *r)
{
#if HAS_TSC
    if (r->has_tsc) {
        return (int64_t)__rdtsc();
    }
#endif
    (void)r;
    return monotonic_ns();
}

static inline uint32_t
hash_address(const void *address)
{
    return (uint32_t)((((uint64_t)(uintptr_t)address >> 4) * 0x9E3779B97F4A7C15u) >> 32);
}

static Node *
new_node(Recording *r)
{
    Chunk *chunk = r->chunks;
    if (chunk == NULL || chunk->used == chunk->size) {
        uint32_t size = FIRST_CHUNK;
        if (chunk != NULL) {
            size = chunk->size < LARGEST_CHUNK ? chunk->size * 2 : LARGEST_CHUNK;
        }
        Chunk *fresh = PyMem_RawMalloc(sizeof(Chunk) + size * sizeof(Node));
        if (fresh == NULL) {
            return NULL;
        }
        fresh->previous = chunk;
        fresh->used = 0;
        fresh->size = size;
        r->chunks = chunk = fresh;
    }
    Node *node = &chunk->nodes[chunk->used++];
    memset(node, 0, sizeof *node);
    return node;
}

static void
table_put(Node **table, uint32_t size, Node *node)
{
    uint32_t at = hash_address(node->key) & (size - 1);
    while (table[at] != NULL) {
        at = (at + 1) & (size - 1);
    }
    table[at] = node;
}

/* How large the table of a node with so many children is: a power of two, at most half
   full, so that it need not be stored. */
static uint32_t
table_size(uint32_t children)
{
    uint32_t size = 4 * MAX_LISTED_CHILDREN;
    while (size < 2 * children) {
        size *= 2;
    }
    return size;
}

static Node *
find_child(Node *parent, const void *key)
{
    if (parent->table != NULL) {
        uint32_t mask = table_size(parent->children) - 1;
        uint32_t at = hash_address(key) & mask;
        for (Node *node; (node = parent->table[at]) != NULL; at = (at + 1) & mask) {
            if (node->key == key) {
                parent->first = node;
                return node;
            }
        }
        return NULL;
    }
    Node *before = NULL;
    for (Node *node = parent->first; node != NULL; before = node, node = node->next) {
        if (node->key == key) {
            if (before != NULL) {
                before->next = node->next;
                node->next = parent->first;
                parent->first = node;
            }
            return node;
        }
    }
    return NULL;
}

/* Return false without memory; the parent is then as it was. */
static int
add_child(Node *parent, Node *node)
{
    uint32_t children = parent->children + 1;
    uint32_t size = table_size(children);
    if (children > MAX_LISTED_CHILDREN) {
        if (parent->table == NULL || size != table_size(parent->children)) {
            Node **table = PyMem_RawCalloc(size, sizeof(Node *));
            if (table == NULL) {
                return 0;
            }
            if (parent->table == NULL) {
                for (Node *child = parent->first; child != NULL; child = child->next) {
                    table_put(table, size, child);
                }
            }
            else {
                uint32_t old_size = table_size(parent->children);
                for (uint32_t i = 0; i < old_size; i++) {
                    if (parent->table[i] != NULL) {
                        table_put(table, size, parent->table[i]);
                    }
                }
                PyMem_RawFree(parent->table);
            }
            parent->table = table;
        }
        table_put(parent->table, size, node);
    }
    else {
        node->next = parent->first;
    }
    node->parent = parent;
    parent->first = node;
    parent->children = children;
    return 1;
}

static void
free_tree(Recording *r)
{
    PyMem_RawFree(r->root.table);
    memset(&r->root, 0, sizeof r->root);
    r->current = r->base = &r->root;
    r->more_depth = 0;
    Chunk *chunk = r->chunks;
    r->chunks = NULL;
    while (chunk != NULL) {
        Chunk *previous = chunk->previous;
        for (uint32_t i = 0; i < chunk->used; i++) {
            PyMem_RawFree(chunk->nodes[i].table);
        }
        PyMem_RawFree(chunk);
        chunk = previous;
    }
    /* Releasing an owner may run a finaliser: the recording must not be seen half freed. */
    Known *known = r->known;
    uint32_t used = r->known_used;
    PyMem_RawFree(r->known_table);
    r->known = NULL;
    r->known_table = NULL;
    r->known_used = r->known_size = 0;
    for (uint32_t i = 0; i < used; i++) {
        Py_XDECREF(known[i].owner);
        Py_XDECREF(known[i].name);
    }
    PyMem_RawFree(known);
}

/* ---- functions and their names ------------------------------------------------------ */

static int
has_safe_repr(PyObject *object)
{
    /* Types whose repr is C throughout and names the function; any other might run code of
       the application. */
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyMethodDescr_Type || type == &PyClassMethodDescr_Type ||
           type == &PyWrapperDescr_Type || type == &PyCFunction_Type ||
           type == &PyFunction_Type;
}

/* What a type or one of its bases has under that name, not bound to anything: a new
   reference, or NULL with or without an exception set. */
static PyObject *
type_attribute(PyTypeObject *type, PyObject *name)
{
    PyObject *bases = type->tp_mro;
    Py_ssize_t count = bases == NULL ? 0 : PyTuple_GET_SIZE(bases);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTypeObject *base = (PyTypeObject *)PyTuple_GET_ITEM(bases, i);
#if PY_VERSION_HEX >= 0x030c0000
        PyObject *attributes = PyType_GetDict(base);
#else
        PyObject *attributes = Py_XNewRef(base->tp_dict);
#endif
        if (attributes == NULL) {
            continue;
        }
        PyObject *found = PyDict_GetItemWithError(attributes, name);
        Py_XINCREF(found);
        Py_DECREF(attributes);
        if (found != NULL || PyErr_Occurred()) {
            return found;
        }
    }
    return NULL;
}

/* Fill in owner and name of a builtin, the name as cProfile gives it. False without
   memory, with an exception set. */
static int
describe_builtin(Known *known, PyObject *callable)
{
    if (Py_TYPE(callable) == &PyMethodDescr_Type) {
        known->owner = Py_NewRef(callable);
        return 1;
    }
    PyCFunctionObject *function = (PyCFunctionObject *)callable;
    const char *name = function->m_ml->ml_name;
    PyObject *self = function->m_self;
    PyObject *module = function->m_module;
    if (self == NULL) {
        known->owner = Py_NewRef(callable);
        PyObject *module_name = NULL;
        if (module != NULL && PyUnicode_Check(module)) {
            module_name = Py_NewRef(module);
        }
        else if (module != NULL && PyModule_Check(module)) {
            module_name = PyModule_GetNameObject(module);
            if (module_name == NULL) {
                PyErr_Clear();
            }
        }
        if (module_name != NULL &&
            PyUnicode_CompareWithASCIIString(module_name, "builtins") != 0) {
            known->name = PyUnicode_FromFormat("<%U.%s>", module_name, name);
        }
        else {
            known->name = PyUnicode_FromFormat("<%s>", name);
        }
        Py_XDECREF(module_name);
        return known->name != NULL;
    }
    PyObject *attribute_name = PyUnicode_FromString(name);
    if (attribute_name == NULL) {
        return 0;
    }
    PyObject *attribute = type_attribute(Py_TYPE(self), attribute_name);
    Py_DECREF(attribute_name);
    if (attribute != NULL && has_safe_repr(attribute)) {
        known->owner = attribute;
        return 1;
    }
    Py_XDECREF(attribute);
    PyErr_Clear();
    if (PyModule_Check(self) || PyType_Check(self) || PyCapsule_CheckExact(self)) {
        known->owner = Py_NewRef(callable);
    }
    known->name = module != NULL && PyUnicode_Check(module)
                      ? PyUnicode_FromFormat("<built-in method %U.%s>", module, name)
                      : PyUnicode_FromFormat("<built-in method %s>", name);
    return known->name != NULL;
}

static int
grow_known(Recording *r)
{
    uint32_t size = r->known_size ? r->known_size * 2 : FIRST_CHUNK;
    Known *known = PyMem_RawRealloc(r->known, size * sizeof(Known));
    if (known == NULL) {
        return 0;
    }
    r->known = known;
    uint32_t *table = PyMem_RawCalloc(2 * (size_t)size, sizeof(uint32_t));
    if (table == NULL) {
        return 0;
    }
    for (uint32_t i = 0; i < r->known_used; i++) {
        uint32_t at = hash_address(known[i].key) & (2 * size - 1);
        while (table[at] != 0) {
            at = (at + 1) & (2 * size - 1);
        }
        table[at] = i + 1;
    }
    PyMem_RawFree(r->known_table);
    r->known_table = table;
    r->known_size = size;
    return 1;
}

/* Where a function is in the table of known ones, or where it would be. */
static uint32_t *
known_place(Recording *r, const void *key)
{
    uint32_t mask = 2 * r->known_size - 1;
    uint32_t at = hash_address(key) & mask;
    while (r->known_table[at] != 0 && r->known[r->known_table[at] - 1].key != key) {
        at = (at + 1) & mask;
    }
    return &r->known_table[at];
}

/* Enter a function among the known ones, unless it is there. False without memory, with or
   without an exception set. `callable` is a code object, a builtin, or NULL for "(more)". */
static int
learn_function(Recording *r, const void *key, PyObject *callable)
{
    if (r->known_used == r->known_size && !grow_known(r)) {
        return 0;
    }
    uint32_t *place = known_place(r, key);
    if (*place != 0) {
        return 1;
    }
    Known *known = &r->known[r->known_used];
    *known = (Known){.key = key};
    if (callable == NULL) {
        known->name = PyUnicode_FromString("(more)");
        if (known->name == NULL) {
            return 0;
        }
    }
    else if (PyCode_Check(callable)) {
        known->owner = Py_NewRef(callable);
    }
    else {
        if (!describe_builtin(known, callable)) {
            Py_XDECREF(known->owner);
            return 0;
        }
        const char *name = ((const PyMethodDef *)key)->ml_name;
        if (strcmp(name, "start_new_thread") == 0 ||
            strcmp(name, "start_joinable_thread") == 0) {
            r->has_threads = 1;
        }
    }
    *place = ++r->known_used;
    return 1;
}

/* ---- what happens at an event ------------------------------------------------------- */

static void
lose(Recording *r, const char *reason)
{
    if (r->lost == NULL) {
        r->lost = reason;
    }
}

static PyMethodDef recording_methods[7];

/* Calls of off() and the like, which results leave out. */
static int
is_own_method(const void *key)
{
    const PyMethodDef *definition = key;
    for (const PyMethodDef *own = recording_methods; own->ml_name != NULL; own++) {
        if (own == definition) {
            return 1;
        }
    }
    return 0;
}

static Node *
make_child(Recording *r, const void *key, PyObject *callable)
{
    Node *parent = r->current;
    if (r->nodes >= r->max_nodes && !is_own_method(key)) {
        /* One "(more)" a node holds the calls that no longer get nodes of their own. */
        key = &more_key;
        callable = NULL;
        r->is_full = 1;
        Node *more = find_child(parent, key);
        if (more != NULL) {
            return more;
        }
    }
    Node *node = learn_function(r, key, callable) ? new_node(r) : NULL;
    if (node == NULL) {
        return NULL;
    }
    node->key = key;
    if (!add_child(parent, node)) {
        r->chunks->used--;
        return NULL;
    }
    r->nodes++;
    return node;
}

/* The way of an event that finds no node: it may allocate, so the exception that is on its
   way through the application is put aside. */
static Py_NO_INLINE Node *
enter_new(Recording *r, const void *key, PyObject *callable)
{
    Node *parent = r->current;
    if (parent->key == &more_key) {
        if (!is_own_method(key)) {
            r->more_depth++;
            parent->calls++;
        }
        return NULL;
    }
    Node *node = find_child(parent, key);
    if (node != NULL || r->lost != NULL) {
        return node;
    }
    Raised raised = put_aside();
    node = make_child(r, key, callable);
    if (node == NULL) {
        lose(r, "out of memory while recording");
    }
    put_back(raised);
    return node;
}

static inline void
enter(Recording *r, const void *key, PyObject *callable, int depth)
{
    Node *caller = r->current;
    Node *node = caller->first;
    if (node == NULL || node->key != key) {
        node = enter_new(r, key, callable);
        if (node == NULL) {
            return;
        }
    }
    int64_t t = now(r);
    caller->self += t - r->last;
    r->last = t;
    node->calls++;
    node->depth = depth;
    r->current = node;
}

static inline void
pass_time(Recording *r, int64_t t, Node *next)
{
    r->current->self += t - r->last;
    r->last = t;
    r->current = next;
}

/* A return whose call is not the one that runs. At the base it belongs to a call that was
   made before the recording was switched on, as that of on() or resume() does anywhere;
   inside "(more)" no keys are kept; else an event in between was lost (another tool raised
   in its callback, say), and the call is looked for further up. */
static Py_NO_INLINE void
leave_other(Recording *r, const void *key, int64_t t)
{
    Node *current = r->current;
    if (r->lost != NULL || is_own_method(key)) {
        return;
    }
    if (current->key == &more_key && r->more_depth > 0) {
        r->more_depth--;
        return;
    }
    if (current == r->base) {
        return;
    }
    if (current->key == &more_key) {
        pass_time(r, t, current->parent);
        return;
    }
    Node *node = current->parent;
    for (int i = 0; i < MAX_SKIPPED && node != r->base; i++, node = node->parent) {
        if (node->key == key) {
            pass_time(r, t, node->parent);
            return;
        }
    }
    r->orphans++;
}

static inline void
leave(Recording *r, const void *key)
{
    int64_t t = now(r);
    Node *node = r->current;
    if (node->key == key && node != r->base) {
        pass_time(r, t, node->parent);
    }
    else {
        leave_other(r, key, t);
    }
}

#define EACH_RUNNING(r)                                                                    \
    for (Recording *r = here != NULL ? here->running : NULL; r != NULL; r = r->next)

/* ---- events: sys.monitoring --------------------------------------------------------- */

#if HAS_MONITORING

static PyObject *missing; /* sys.monitoring.MISSING */

/* What sys.monitoring calls. Not builtin functions: those check for recursion before they
   run and so could raise into an application that is near its limit. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
} Callback;

/* How many frames of Python the thread has, the running one included. */
static int
stack_depth(void)
{
    PyThreadState *state = PyThreadState_Get();
    return state->py_recursion_limit - state->py_recursion_remaining;
}

static PyObject *
on_enter(PyObject *Py_UNUSED(self), PyObject *const *args, size_t nargsf,
         PyObject *Py_UNUSED(names))
{
    EACH_RUNNING(r) {
        if (PyVectorcall_NARGS(nargsf) > 0 && PyCode_Check(args[0])) {
            enter(r, args[0], args[0], stack_depth());
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
on_leave(PyObject *Py_UNUSED(self), PyObject *const *args, size_t nargsf,
         PyObject *Py_UNUSED(names))
{
    EACH_RUNNING(r) {
        if (PyVectorcall_NARGS(nargsf) > 0) {
            leave(r, args[0]);
        }
    }
    Py_RETURN_NONE;
}

/* A frame that an exception leaves may never have been entered: a signal handler or another
   tool may raise before PY_START reaches us. Its function alone cannot tell, because its
   caller may be the same function; its depth can. */
static void
unwind(Recording *r, const void *key, int depth)
{
    Node *node = r->current;
    if (node->key == &more_key) {
        leave(r, key);
        return;
    }
    /* Past builtins whose end was lost, and frames whose end was. */
    while (node != r->base && (node->depth == 0 || node->depth > depth)) {
        node = node->parent;
    }
    if (node != r->base && node->key == key && node->depth == depth) {
        pass_time(r, now(r), node->parent);
    }
}

static PyObject *
on_unwind(PyObject *Py_UNUSED(self), PyObject *const *args, size_t nargsf,
          PyObject *Py_UNUSED(names))
{
    if (PyVectorcall_NARGS(nargsf) > 0 && here != NULL && here->running != NULL) {
        int depth = stack_depth();
        EACH_RUNNING(r) {
            unwind(r, args[0], depth);
        }
    }
    Py_RETURN_NONE;
}

/* The method definition of what is called, NULL unless it is a builtin. A method
   descriptor without an object to act on is not a call, as for cProfile. */
static inline const void *
builtin_key(PyObject *const *args, size_t nargsf)
{
    if (PyVectorcall_NARGS(nargsf) < 4) {
        return NULL;
    }
    PyObject *callable = args[2];
    if (PyCFunction_Check(callable)) {
        return ((PyCFunctionObject *)callable)->m_ml;
    }
    if (Py_TYPE(callable) == &PyMethodDescr_Type && args[3] != missing) {
        return ((PyMethodDescrObject *)callable)->d_method;
    }
    return NULL;
}

static PyObject *
on_call(PyObject *Py_UNUSED(self), PyObject *const *args, size_t nargsf,
        PyObject *Py_UNUSED(names))
{
    if (here != NULL && here->running != NULL) {
        const void *key = builtin_key(args, nargsf);
        if (key != NULL) {
            EACH_RUNNING(r) {
                enter(r, key, args[2], 0);
            }
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
on_return(PyObject *Py_UNUSED(self), PyObject *const *args, size_t nargsf,
          PyObject *Py_UNUSED(names))
{
    if (here != NULL && here->running != NULL) {
        const void *key = builtin_key(args, nargsf);
        if (key != NULL) {
            EACH_RUNNING(r) {
                leave(r, key);
            }
        }
    }
    Py_RETURN_NONE;
}

static struct {
    const char *event;
    vectorcallfunc call;
    PyObject *id, *callback;
} events[] = {
    {"PY_START", on_enter, NULL, NULL},   {"PY_RESUME", on_enter, NULL, NULL},
    {"PY_THROW", on_enter, NULL, NULL},   {"PY_RETURN", on_leave, NULL, NULL},
    {"PY_YIELD", on_leave, NULL, NULL},   {"PY_UNWIND", on_unwind, NULL, NULL},
    {"CALL", on_call, NULL, NULL},        {"C_RETURN", on_return, NULL, NULL},
    {"C_RAISE", on_return, NULL, NULL},
};
#define EVENTS (sizeof events / sizeof events[0])

/* cProfile's own ID last; 0 is the debugger's and 1 is coverage's. */
static const int tool_ids[] = {3, 4, 5, 2};

static PyObject *use_tool_id, *free_tool_id, *get_tool, *register_callback, *set_events;
static PyObject *all_events, *no_events;
static PyObject *tool; /* the ID that we hold, or NULL */
/* While the ID is taken or given back an audit hook of the application may run, in Python. */
static int is_changing;
static int are_events_on;
static long holders; /* recordings that have not stopped */
static long segments; /* recordings that are on */
static int64_t last_segment_ns;

static int
call_monitoring(PyObject *function, PyObject *first, PyObject *second, PyObject *third)
{
    PyObject *args[] = {first, second, third};
    size_t count = third != NULL ? 3 : second != NULL ? 2 : 1;
    PyObject *result = PyObject_Vectorcall(function, args, count, NULL);
    Py_XDECREF(result);
    return result != NULL;
}

static int
switch_events(int on)
{
    if (!call_monitoring(set_events, tool, on ? all_events : no_events, NULL)) {
        return 0;
    }
    are_events_on = on;
    return 1;
}

static void
give_tool_back(void)
{
    if (tool == NULL) {
        return;
    }
    PyObject *id = tool;
    is_changing = 1;
    if (!switch_events(0)) {
        PyErr_Clear();
    }
    tool = NULL;
    for (size_t i = 0; i < EVENTS; i++) {
        if (!call_monitoring(register_callback, id, events[i].id, Py_None)) {
            PyErr_Clear();
        }
    }
    if (!call_monitoring(free_tool_id, id, NULL, NULL)) {
        PyErr_Clear();
    }
    is_changing = 0;
    Py_DECREF(id);
}

/* Take a free tool ID and switch the events on. False with an exception set. */
static int
take_tool(void)
{
    PyObject *name = PyUnicode_FromString(TOOL_NAME);
    PyObject *id = NULL;
    for (size_t i = 0; name != NULL && id == NULL && i < Py_ARRAY_LENGTH(tool_ids); i++) {
        id = PyLong_FromLong(tool_ids[i]);
        PyObject *user = id == NULL ? NULL : PyObject_CallOneArg(get_tool, id);
        /* Under our name but not ours: left behind by a start that did not come to its
           end, since every start in this process passes here. */
        int is_leaked = user != NULL && PyUnicode_Check(user) &&
                        PyUnicode_CompareWithASCIIString(user, TOOL_NAME) == 0;
        int is_free = user != NULL && Py_IsNone(user);
        Py_XDECREF(user);
        if (user == NULL ||
            (is_leaked && !call_monitoring(free_tool_id, id, NULL, NULL)) ||
            ((is_leaked || is_free) && !call_monitoring(use_tool_id, id, name, NULL))) {
            Py_CLEAR(id);
            break;
        }
        if (!is_leaked && !is_free) {
            Py_CLEAR(id);
        }
    }
    Py_XDECREF(name);
    if (id == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_RuntimeError,
                            "all tool IDs of sys.monitoring are in use");
        }
        return 0;
    }
    tool = id;
    int is_ready = 1;
    for (size_t i = 0; is_ready && i < EVENTS; i++) {
        is_ready = call_monitoring(register_callback, id, events[i].id, events[i].callback);
    }
    if (!is_ready || !switch_events(1)) {
        Raised raised = put_aside();
        give_tool_back();
        put_back(raised);
        return 0;
    }
    return 1;
}

static int
hold_events(void)
{
    if (is_changing) {
        PyErr_SetString(PyExc_RuntimeError, "the tool ID is just being taken or given back");
        return 0;
    }
    if (tool == NULL) {
        is_changing = 1;
        int is_taken = take_tool();
        is_changing = 0;
        if (!is_taken) {
            return 0;
        }
    }
    holders++;
    return 1;
}

static void
release_events(void)
{
    if (--holders == 0) {
        give_tool_back();
    }
}

/* Events were put to rest in a long pause: see rest(). False with an exception set. */
static int
start_segment(Recording *Py_UNUSED(r))
{
    if (tool == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the tool ID is gone");
        return 0;
    }
    if (!are_events_on && !switch_events(1)) {
        return 0;
    }
    segments++;
    return 1;
}

static void
end_segment(Recording *r, Thread *Py_UNUSED(thread))
{
    segments -= r->epoch == epoch;
    last_segment_ns = monotonic_ns();
}

#else /* ---- events: PyEval_SetProfile --------------------------------------------- */

/* Whether the frame stands at the instruction that begins it (or begins it again). */
static int
is_at_start(PyFrameObject *frame, PyCodeObject *code)
{
    int offset = PyFrame_GetLasti(frame);
    unsigned char opcode = offset < 0 ? 0 : (unsigned char)code->co_code_adaptive[offset];
    return opcode == RESUME || opcode == RESUME_QUICK;
}

static int
on_event(PyObject *Py_UNUSED(self), PyFrameObject *frame, int what, PyObject *arg)
{
    if (here == NULL || here->running == NULL) {
        return 0;
    }
    /* A signal handler may raise between a frame's beginning and PyTrace_CALL: it is then
       left without having been entered. If it was, nothing else happened since. */
    const void *entered = here->entered;
    here->entered = NULL;
    if (what == PyTrace_CALL || what == PyTrace_RETURN) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        if (what == PyTrace_CALL) {
            here->entered = frame;
            EACH_RUNNING(r) {
                enter(r, code, (PyObject *)code, 0);
            }
        }
        else if (arg != NULL || entered == frame || !is_at_start(frame, code)) {
            EACH_RUNNING(r) {
                leave(r, code);
            }
        }
        Py_DECREF(code);
    }
    else if (arg != NULL && PyCFunction_Check(arg)) {
        const void *key = ((PyCFunctionObject *)arg)->m_ml;
        EACH_RUNNING(r) {
            if (what == PyTrace_C_CALL) {
                enter(r, key, arg, 0);
            }
            else if (what == PyTrace_C_RETURN || what == PyTrace_C_EXCEPTION) {
                leave(r, key);
            }
        }
    }
    return 0;
}

static int
hold_events(void)
{
    Py_tracefunc other = PyThreadState_Get()->c_profilefunc;
    if (other != NULL && other != on_event) {
        PyErr_SetString(PyExc_RuntimeError, "another profiler is on in this thread");
        return 0;
    }
    return 1;
}

static void
release_events(void)
{
}

static int
start_segment(Recording *Py_UNUSED(r))
{
    if (!hold_events()) {
        return 0;
    }
    if (PyThreadState_Get()->c_profilefunc == NULL) {
        /* Each event needs the frame as an object; with that of our caller at hand, off()
           can be called though memory has run out. */
        if (PyEval_GetFrame() == NULL) {
            PyErr_NoMemory();
            return 0;
        }
        PyEval_SetProfile(on_event, NULL);
        if (PyThreadState_Get()->c_profilefunc != on_event) {
            PyErr_SetString(PyExc_RuntimeError, "the interpreter refused a profiler");
            return 0;
        }
    }
    return 1;
}

/* Called with the thread's lists as they are without the recording. */
static void
end_segment(Recording *r, Thread *thread)
{
    if (thread != here) {
        return; /* another thread's function stays set there and finds nothing to do */
    }
    if (PyThreadState_Get()->c_profilefunc != on_event) {
        lose(r, "another profiler was switched on in the same thread");
    }
    else if (thread->running == NULL && thread->parked == NULL) {
        PyEval_SetProfile(NULL, NULL);
    }
}

#endif

/* ---- greenlets ---------------------------------------------------------------------- */

static PyObject *greenlet_hook;

static int
unlink_from(Recording **list, Recording *r)
{
    while (*list != NULL && *list != r) {
        list = &(*list)->next;
    }
    if (*list == NULL) {
        return 0;
    }
    *list = r->next;
    r->next = NULL;
    return 1;
}

static void
move(Recording *r, Recording **from, Recording **to)
{
    unlink_from(from, r);
    r->next = *to;
    *to = r;
}

/* Leave only the recordings of the greenlet that runs now. Their clocks go on while they
   are switched out: the time is counted to the call that waits. */
static void
follow_switch(Thread *thread, const void *greenlet)
{
    Recording *next;
    for (Recording *r = thread->running; r != NULL; r = next) {
        next = r->next;
        if (r->greenlet != NULL && r->greenlet != greenlet) {
            r->cpu_ns += thread_cpu_ns() - r->cpu_start;
            move(r, &thread->running, &thread->parked);
        }
    }
    for (Recording *r = thread->parked; r != NULL; r = next) {
        next = r->next;
        if (r->greenlet == greenlet) {
            r->cpu_start = thread_cpu_ns();
            move(r, &thread->parked, &thread->running);
        }
    }
}

static PyObject *
on_switch(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Thread *thread = here;
    if (thread == NULL) {
        Py_RETURN_NONE;
    }
    if (count == 2 && PyTuple_Check(args[1]) && PyTuple_GET_SIZE(args[1]) == 2) {
        follow_switch(thread, PyTuple_GET_ITEM(args[1], 1));
    }
    /* A function that took our place may call ours from within, and be what we call. */
    if (thread->previous_trace != NULL && !thread->is_in_hook) {
        PyObject *previous = Py_NewRef(thread->previous_trace);
        thread->is_in_hook = 1;
        PyObject *result = PyObject_Vectorcall(previous, args, (size_t)count, NULL);
        thread->is_in_hook = 0;
        Py_DECREF(previous);
        return result;
    }
    Py_RETURN_NONE;
}

/* The module greenlet, if it is in use: a new reference, or NULL with or without error. */
static PyObject *
greenlet_module(void)
{
    static PyObject *name;
    if (name == NULL) {
        name = PyUnicode_InternFromString("greenlet");
        if (name == NULL) {
            return NULL;
        }
    }
    return PyImport_GetModule(name);
}

static void
lose_followed(Recording *r)
{
    for (; r != NULL; r = r->next) {
        if (r->greenlet != NULL) {
            lose(r, "another greenlet trace function took the place of ours");
        }
    }
}

/* Say which greenlet is recorded, and follow its switches. False with an exception set. */
static int
start_following(Recording *r, Thread *thread)
{
    r->greenlet = NULL;
    PyObject *module = greenlet_module();
    if (module == NULL) {
        return !PyErr_Occurred();
    }
    int is_fine = 0;
    PyObject *current = PyObject_CallMethod(module, "getcurrent", NULL);
    PyObject *trace = current == NULL ? NULL : PyObject_CallMethod(module, "gettrace", NULL);
    if (trace == greenlet_hook) {
        is_fine = 1;
    }
    else if (trace != NULL) {
        /* Switches of whatever is recorded already were missed. */
        lose_followed(thread->running);
        lose_followed(thread->parked);
        PyObject *result = PyObject_CallMethod(module, "settrace", "O", greenlet_hook);
        if (result != NULL) {
            Py_XSETREF(thread->previous_trace, Py_IsNone(trace) ? NULL : Py_NewRef(trace));
            Py_DECREF(result);
            is_fine = 1;
        }
    }
    if (is_fine) {
        r->greenlet = current; /* the caller itself; only its identity is kept */
    }
    Py_XDECREF(current);
    Py_XDECREF(trace);
    Py_DECREF(module);
    return is_fine;
}

/* Put back the trace function that was there, if no recording of the thread needs ours. */
static int
stop_following(Recording *r, Thread *thread)
{
    if (r->greenlet == NULL || thread != here) {
        return 1;
    }
    r->greenlet = NULL;
    PyObject *module = greenlet_module();
    if (module == NULL) {
        return !PyErr_Occurred();
    }
    int is_fine = 0;
    PyObject *trace = PyObject_CallMethod(module, "gettrace", NULL);
    if (trace == NULL) {
        ;
    }
    else if (trace != greenlet_hook) {
        /* Whoever took the place may call ours or not: what was recorded cannot be
           trusted, and their function is not ours to remove. */
        lose(r, "another greenlet trace function took the place of ours");
        is_fine = 1;
    }
    else if (thread->running != NULL || thread->parked != NULL) {
        is_fine = 1;
    }
    else {
        PyObject *previous =
            thread->previous_trace != NULL ? thread->previous_trace : Py_NewRef(Py_None);
        thread->previous_trace = NULL;
        PyObject *result = PyObject_CallMethod(module, "settrace", "O", previous);
        is_fine = result != NULL;
        Py_XDECREF(result);
        Py_DECREF(previous);
    }
    Py_XDECREF(trace);
    Py_DECREF(module);
    return is_fine;
}

/* ---- a thread and its recordings ---------------------------------------------------- */

static void
forget_thread(PyObject *capsule)
{
    Thread *thread = PyCapsule_GetPointer(capsule, NULL);
    if (here == thread) {
        here = NULL;
    }
    Recording *lists[] = {thread->running, thread->parked};
    thread->running = thread->parked = NULL;
    for (size_t i = 0; i < 2; i++) {
        for (Recording *r = lists[i], *next; r != NULL; r = next) {
            next = r->next;
            r->next = NULL;
            r->thread = NULL;
            lose(r, "the thread ended while it was recorded");
#if HAS_MONITORING
            segments -= r->epoch == epoch;
#endif
            Py_DECREF(r);
        }
    }
    Py_XDECREF(thread->previous_trace);
    PyMem_RawFree(thread);
}

/* The calling thread's lists, made at need. NULL with an exception set. */
static Thread *
this_thread(void)
{
    if (here != NULL) {
        return here;
    }
    PyObject *dictionary = PyThreadState_GetDict();
    if (dictionary == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    Thread *thread = PyMem_RawCalloc(1, sizeof(Thread));
    if (thread == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(thread, NULL, NULL);
    if (capsule == NULL || PyDict_SetItemString(dictionary, TOOL_NAME, capsule) < 0) {
        Py_XDECREF(capsule);
        PyMem_RawFree(thread);
        return NULL;
    }
    PyCapsule_SetDestructor(capsule, forget_thread);
    Py_DECREF(capsule);
    here = thread;
    return thread;
}

/* Switch a recording off, whichever thread it runs on. Never leaves an exception. */
static void
detach(Recording *r)
{
    Thread *thread = r->thread;
    if (thread == NULL) {
        return;
    }
    int64_t t = now(r);
    r->current->self += t - r->last;
    r->last = t;
    /* Calls that are still open have been counted when they were made, as cProfile counts
       them when it is disabled. */
    r->current = r->base;
    r->more_depth = 0;
    if (unlink_from(&thread->running, r)) {
        if (thread == here) {
            r->cpu_ns += thread_cpu_ns() - r->cpu_start;
        }
    }
    else {
        unlink_from(&thread->parked, r);
    }
    r->is_mixed |= thread != here;
    r->thread = NULL;
    Raised raised = put_aside();
    end_segment(r, thread);
    if (!stop_following(r, thread)) {
        lose(r, "the greenlet could not be followed");
    }
    put_back(raised);
    Py_DECREF(r);
}

static void
attach(Recording *r)
{
    if (r->is_stopped || r->lost != NULL) {
        return;
    }
    if (r->forks != forks) {
        lose(r, "the process forked while it was recorded");
        return;
    }
    if (r->epoch != epoch) {
        lose(r, "the interpreter is shutting down");
        return;
    }
    if (r->thread != NULL) {
        r->is_mixed = 1;
        return;
    }
    Thread *thread = this_thread();
    if (thread == NULL) {
        PyErr_Clear();
        lose(r, "out of memory while recording");
        return;
    }
    if (!start_segment(r)) {
        lose(r, PyErr_ExceptionMatches(PyExc_MemoryError) ? "out of memory while recording"
                : HAS_MONITORING ? "the events could not be switched on"
                                 : "another profiler was on in the same thread");
        PyErr_Clear();
        return;
    }
    Py_INCREF(r);
    r->thread = thread;
    r->next = thread->running;
    thread->running = r;
    if (!start_following(r, thread)) {
        PyErr_Clear();
        lose(r, "the greenlet could not be followed");
    }
    r->cpu_start = thread_cpu_ns();
    int64_t t = now(r);
    if (r->base != &r->root) {
        r->base->self += t - r->last; /* it was waiting for us */
    }
    r->last = t;
}

/* Detach, but leave the calls open; what is recorded until resume() is called by `code`,
   which is entered now. Return whether anything was recorded here. */
static int
hold(Recording *r, PyObject *code)
{
    if (r->thread == NULL || r->thread != here || r->lost != NULL) {
        return 0;
    }
    Hold *hold = PyMem_RawMalloc(sizeof(Hold));
    if (hold == NULL) {
        lose(r, "out of memory while recording");
        return 0;
    }
    if (is_own_method(r->current->key)) {
        pass_time(r, now(r), r->current->parent); /* the call of hold() itself */
    }
    *hold = (Hold){r->hold, r->current, r->base, r->more_depth};
    r->hold = hold;
    enter(r, code, code, 0);
    r->base = r->current;
    r->more_depth = 0;
    detach(r);
    return 1;
}

/* Go back to where the innermost hold() was made. */
static void
drop_hold(Recording *r)
{
    Hold *hold = r->hold;
    r->is_mixed |= r->thread != NULL;
    detach(r);
    pass_time(r, now(r), hold->current); /* `current` is the base, which waited */
    r->base = hold->base;
    r->more_depth = hold->more_depth;
    r->hold = hold->previous;
    PyMem_RawFree(hold);
}

static void
stop(Recording *r)
{
    if (r->is_stopped) {
        return;
    }
    detach(r);
    r->is_stopped = 1;
    while (r->hold != NULL) {
        drop_hold(r);
    }
    if (r->forks != forks) {
        lose(r, "the process forked while it was recorded");
    }
    else if (r->epoch != epoch) {
        lose(r, "the interpreter is shutting down");
    }
    if (r->is_holding) {
        r->is_holding = 0;
        Raised raised = put_aside();
        if (r->epoch == epoch) {
            release_events();
        }
        put_back(raised);
    }
    /* A short recording is too short to measure the counter's rate by. */
    ClockPair end = read_clocks();
    ClockPair start = end.ns - r->born.ns < 10000000 ? process_start : r->born;
    r->ns_per_tick = 1.0;
    if (r->has_tsc && end.ticks > start.ticks) {
        r->ns_per_tick = (double)(end.ns - start.ns) / (double)(end.ticks - start.ticks);
    }
}

/* ---- results ------------------------------------------------------------------------ */

/* A function as Python sees it: its code object, or its name if it is a builtin. */
static PyObject *
known_object(const Known *known)
{
    if (known->name != NULL) {
        return Py_NewRef(known->name);
    }
    return PyCode_Check(known->owner) ? Py_NewRef(known->owner)
                                      : PyObject_Repr(known->owner);
}

/* Link children in the order in which they were first called. */
static void
restore_order(Recording *r)
{
    r->root.first = NULL;
    for (Chunk *chunk = r->chunks; chunk != NULL; chunk = chunk->previous) {
        for (uint32_t i = 0; i < chunk->used; i++) {
            chunk->nodes[i].first = NULL;
        }
    }
    for (Chunk *chunk = r->chunks; chunk != NULL; chunk = chunk->previous) {
        for (uint32_t i = chunk->used; i-- > 0;) {
            Node *node = &chunk->nodes[i];
            node->next = node->parent->first;
            node->parent->first = node;
        }
    }
}

static PyObject *
build_result(Recording *r)
{
    PyObject *functions = PyList_New(r->known_used);
    PyObject *columns[4] = {NULL};
    PyObject *result = NULL;
    if (functions == NULL) {
        goto done;
    }
    for (uint32_t i = 0; i < r->known_used; i++) {
        PyObject *object = known_object(&r->known[i]);
        if (object == NULL) {
            goto done;
        }
        PyList_SET_ITEM(functions, i, object);
    }
    static const Py_ssize_t widths[4] = {4, 4, 8, 8};
    for (int i = 0; i < 4; i++) {
        columns[i] = PyBytes_FromStringAndSize(NULL, r->nodes * widths[i]);
        if (columns[i] == NULL) {
            goto done;
        }
    }
    int32_t *parents = (int32_t *)PyBytes_AS_STRING(columns[0]);
    int32_t *indexes = (int32_t *)PyBytes_AS_STRING(columns[1]);
    int64_t *calls = (int64_t *)PyBytes_AS_STRING(columns[2]);
    int64_t *self_ns = (int64_t *)PyBytes_AS_STRING(columns[3]);
    Py_ssize_t count = 0;
    restore_order(r);
    for (Node *node = r->root.first; node != NULL;) {
        if (!is_own_method(node->key)) {
            node->children = (uint32_t)count;
            parents[count] = node->parent == &r->root ? -1 : (int32_t)node->parent->children;
            indexes[count] = (int32_t)*known_place(r, node->key) - 1;
            calls[count] = (int64_t)node->calls;
            int64_t ns = (int64_t)((double)node->self * r->ns_per_tick);
            self_ns[count] = ns < 0 ? 0 : ns;
            count++;
            if (node->first != NULL) {
                node = node->first;
                continue;
            }
        }
        while (node != &r->root && node->next == NULL) {
            node = node->parent;
        }
        node = node == &r->root ? NULL : node->next;
    }
    for (int i = 0; i < 4; i++) {
        if (_PyBytes_Resize(&columns[i], count * widths[i]) < 0) {
            goto done;
        }
    }
    result = PyTuple_Pack(5, functions, columns[0], columns[1], columns[2], columns[3]);
done:
    Py_XDECREF(functions);
    for (int i = 0; i < 4; i++) {
        Py_XDECREF(columns[i]);
    }
    return result;
}

/* ---- the type ----------------------------------------------------------------------- */

static PyObject *
recording_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"max_nodes", "clock", NULL};
    unsigned int max_nodes = DEFAULT_MAX_NODES;
    const char *clock = "auto";
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|Is:Recording", names, &max_nodes,
                                     &clock)) {
        return NULL;
    }
    /* Each node may have one "(more)" beside, and places are 32 bits wide. */
    if (max_nodes < 1 || max_nodes > 1000000000) {
        PyErr_SetString(PyExc_ValueError, "max_nodes must lie between 1 and 10**9");
        return NULL;
    }
    int is_auto = strcmp(clock, "auto") == 0;
    if (!is_auto && strcmp(clock, "monotonic") != 0) {
        PyErr_SetString(PyExc_ValueError, "clock must be 'auto' or 'monotonic'");
        return NULL;
    }
    if (is_closed) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
        return NULL;
    }
    static int has_tsc = -1;
    if (has_tsc < 0) {
        has_tsc = tsc_is_trusted();
    }
    Recording *r = (Recording *)type->tp_alloc(type, 0);
    if (r == NULL) {
        return NULL;
    }
    r->current = r->base = &r->root;
    r->max_nodes = max_nodes;
    r->has_tsc = is_auto && has_tsc;
    r->epoch = epoch;
    r->forks = forks;
    r->born = read_clocks();
    if (!hold_events()) {
        Py_DECREF(r);
        return NULL;
    }
    r->is_holding = 1;
    return (PyObject *)r;
}

static void
recording_dealloc(PyObject *self)
{
    Recording *r = (Recording *)self;
    PyTypeObject *type = Py_TYPE(self);
    stop(r);
    free_tree(r);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
recording_on(PyObject *self, PyObject *Py_UNUSED(unused))
{
    attach((Recording *)self);
    Py_RETURN_NONE;
}

static PyObject *
recording_off(PyObject *self, PyObject *Py_UNUSED(unused))
{
    detach((Recording *)self);
    Py_RETURN_NONE;
}

static PyObject *
recording_hold(PyObject *self, PyObject *code)
{
    if (!PyCode_Check(code)) {
        PyErr_SetString(PyExc_TypeError, "hold() takes a code object");
        return NULL;
    }
    return PyBool_FromLong(hold((Recording *)self, code));
}

static PyObject *
recording_resume(PyObject *self, PyObject *Py_UNUSED(unused))
{
    Recording *r = (Recording *)self;
    if (r->hold != NULL) {
        drop_hold(r);
        attach(r);
    }
    Py_RETURN_NONE;
}

static PyObject *
recording_stop(PyObject *self, PyObject *Py_UNUSED(unused))
{
    stop((Recording *)self);
    Py_RETURN_NONE;
}

static PyObject *
recording_take(PyObject *self, PyObject *Py_UNUSED(unused))
{
    Recording *r = (Recording *)self;
    stop(r);
    if (r->forks != forks) {
        lose(r, "the process forked while it was recorded");
    }
    if (r->is_taken) {
        lose(r, "it was taken already");
    }
    if (r->lost != NULL) {
        PyErr_SetString(PyExc_RuntimeError, r->lost);
        free_tree(r);
        return NULL;
    }
    if (r->has_tsc && !tsc_is_trusted()) {
        /* The kernel found the counter wanting while we measured by it. */
        lose(r, "the clock became unstable while it was recorded");
        PyErr_SetString(PyExc_RuntimeError, r->lost);
        free_tree(r);
        return NULL;
    }
    PyObject *result = build_result(r);
    r->is_taken = 1;
    Raised raised = put_aside();
    free_tree(r);
    put_back(raised);
    return result;
}

static PyMethodDef recording_methods[7] = {
    {"on", recording_on, METH_NOARGS,
     "Record the calling thread, in gevent the calling greenlet, from here on. Never raises."},
    {"off", recording_off, METH_NOARGS,
     "Stop recording, on whichever thread it was switched on. Never raises."},
    {"hold", recording_hold, METH_O,
     "Stop recording, but leave the calls open; what is recorded until resume() is called\n"
     "by this code object, whose call takes the time until then. Returns whether it was on\n"
     "in this thread; else nothing is held."},
    {"resume", recording_resume, METH_NOARGS,
     "Go on where hold() left off, in the function that called it. Never raises."},
    {"stop", recording_stop, METH_NOARGS,
     "Let go of the interpreter's events; no more is recorded. Never raises."},
    {"take", recording_take, METH_NOARGS,
     "Return the tree, once, as (functions, parent, function, calls, self_ns).\n\n"
     "`functions` are code objects, or names of builtins; the others are bytes of int32,\n"
     "int32, int64 and int64, one item a node, in preorder. Raises RuntimeError with the\n"
     "reason if the recording was lost."},
    {NULL, NULL, 0, NULL},
};

static PyObject *
recording_get_lost(PyObject *self, void *Py_UNUSED(closure))
{
    const Recording *r = (Recording *)self;
    return r->lost == NULL ? Py_NewRef(Py_None) : PyUnicode_FromString(r->lost);
}

static PyObject *
recording_get_is_full(PyObject *self, void *Py_UNUSED(closure))
{
    const Recording *r = (Recording *)self;
    return PyBool_FromLong(r->is_full);
}

static PyObject *
recording_get_is_on(PyObject *self, void *Py_UNUSED(closure))
{
    const Recording *r = (Recording *)self;
    return PyBool_FromLong(r->thread != NULL);
}

static PyObject *
recording_get_clock(PyObject *self, void *Py_UNUSED(closure))
{
    const Recording *r = (Recording *)self;
    return PyUnicode_FromString(r->has_tsc ? "tsc" : "monotonic");
}

static PyGetSetDef recording_getters[] = {
    {"lost", recording_get_lost, NULL, "Why there is no profile, or None.", NULL},
    {"is_full", recording_get_is_full, NULL,
     "Whether calls were folded into \"(more)\" for want of nodes.", NULL},
    {"is_on", recording_get_is_on, NULL, "Whether it runs on some thread.", NULL},
    {"clock", recording_get_clock, NULL, "\"tsc\" or \"monotonic\".", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef recording_members[] = {
    {"nodes", T_UINT, offsetof(Recording, nodes), READONLY, "Nodes of the tree so far."},
    {"max_nodes", T_UINT, offsetof(Recording, max_nodes), READONLY, "How many it may have."},
    {"orphans", T_ULONGLONG, offsetof(Recording, orphans), READONLY,
     "Returns that came without their call."},
    {"cpu_ns", T_LONGLONG, offsetof(Recording, cpu_ns), READONLY,
     "CPU time of the recorded threads while it was on."},
    {"has_threads", T_INT, offsetof(Recording, has_threads), READONLY,
     "Whether threads were started, which are not recorded."},
    {"is_mixed", T_INT, offsetof(Recording, is_mixed), READONLY,
     "Whether two threads ran it at once, of which one was recorded."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot recording_slots[] = {
    {Py_tp_doc, "Recording(max_nodes=200000, clock='auto')\n--\n\n"
                "One call tree being recorded. Raises RuntimeError where that is refused."},
    {Py_tp_new, recording_new},
    {Py_tp_dealloc, recording_dealloc},
    {Py_tp_methods, recording_methods},
    {Py_tp_members, recording_members},
    {Py_tp_getset, recording_getters},
    {0, NULL},
};

static PyType_Spec recording_spec = {
    .name = "flaskprof.capture._calltree.Recording",
    .basicsize = sizeof(Recording),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = recording_slots,
};

/* ---- the module --------------------------------------------------------------------- */

/* Forget all that runs and give everything back. What runs is lost. */
static void
forget(void)
{
    epoch++;
    if (here != NULL) {
        while (here->running != NULL || here->parked != NULL) {
            detach(here->running != NULL ? here->running : here->parked);
        }
    }
#if HAS_MONITORING
    give_tool_back();
    holders = segments = 0;
#endif
}

static PyObject *
forget_after_fork(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    forks++;
    forget();
    Py_RETURN_NONE;
}

static PyObject *
forget_at_exit(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    is_closed = 1;
    forget();
    Py_RETURN_NONE;
}

static PyObject *
rest(PyObject *Py_UNUSED(module), PyObject *pause)
{
    double seconds = PyFloat_AsDouble(pause);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
#if HAS_MONITORING
    if (tool != NULL && are_events_on && segments == 0 &&
        (double)(monotonic_ns() - last_segment_ns) >= seconds * 1e9 && !switch_events(0)) {
        return NULL;
    }
#endif
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"forget_after_fork", forget_after_fork, METH_NOARGS,
     "In a forked child: lose what its parent recorded and give the tool ID back."},
    {"forget_at_exit", forget_at_exit, METH_NOARGS,
     "At the interpreter's end: lose what still runs and refuse to start more."},
    {"rest", rest, METH_O,
     "Switch the events off if nothing was recorded for so many seconds; the next on()\n"
     "switches them on again."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef hook_method = {
    "follow_greenlets", (PyCFunction)(void (*)(void))on_switch, METH_FASTCALL,
    "The greenlet trace function of flaskprof.",
};

#if HAS_MONITORING

static PyMemberDef callback_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Callback, call), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot callback_slots[] = {
    {Py_tp_members, callback_members},
    {Py_tp_call, PyVectorcall_Call},
    {0, NULL},
};

static PyType_Spec callback_spec = {
    .name = "flaskprof.capture._calltree.Callback",
    .basicsize = sizeof(Callback),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = callback_slots,
};

static int
prepare_events(void)
{
    PyObject *monitoring = PySys_GetObject("monitoring");
    PyObject *ids = NULL, *type = NULL;
    unsigned long mask = 0;
    int is_ready = 0;
    if (monitoring == NULL) {
        PyErr_SetString(PyExc_ImportError, "this interpreter has no sys.monitoring");
        return 0;
    }
    if ((use_tool_id = PyObject_GetAttrString(monitoring, "use_tool_id")) == NULL ||
        (free_tool_id = PyObject_GetAttrString(monitoring, "free_tool_id")) == NULL ||
        (get_tool = PyObject_GetAttrString(monitoring, "get_tool")) == NULL ||
        (register_callback = PyObject_GetAttrString(monitoring, "register_callback")) ==
            NULL ||
        (set_events = PyObject_GetAttrString(monitoring, "set_events")) == NULL ||
        (missing = PyObject_GetAttrString(monitoring, "MISSING")) == NULL ||
        (ids = PyObject_GetAttrString(monitoring, "events")) == NULL ||
        (type = PyType_FromSpec(&callback_spec)) == NULL) {
        goto done;
    }
    for (size_t i = 0; i < EVENTS; i++) {
        Callback *callback = PyObject_New(Callback, (PyTypeObject *)type);
        if (callback == NULL) {
            goto done;
        }
        callback->call = events[i].call;
        events[i].callback = (PyObject *)callback;
        events[i].id = PyObject_GetAttrString(ids, events[i].event);
        if (events[i].id == NULL) {
            goto done;
        }
        mask |= PyLong_AsUnsignedLong(events[i].id);
        if (PyErr_Occurred()) {
            goto done;
        }
    }
    all_events = PyLong_FromUnsignedLong(mask);
    no_events = PyLong_FromLong(0);
    is_ready = all_events != NULL && no_events != NULL;
done:
    Py_XDECREF(ids);
    Py_XDECREF(type);
    return is_ready;
}

#endif

static int
module_exec(PyObject *module)
{
#ifdef Py_GIL_DISABLED
    PyErr_SetString(PyExc_ImportError,
                    "the call-tree engine needs the GIL, which this interpreter lacks");
    return -1;
#endif
    /* The tool ID, the callbacks and the counts are those of one interpreter. */
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "the call-tree engine works in the main interpreter only");
        return -1;
    }
    /* Imported a second time (say, by a test that reloads modules): what is prepared is
       still there and may be in use. */
    static int is_prepared;
    if (!is_prepared) {
        process_start = read_clocks();
#if HAS_MONITORING
        if (!prepare_events()) {
            return -1;
        }
#endif
        greenlet_hook = PyCFunction_New(&hook_method, NULL);
        if (greenlet_hook == NULL) {
            return -1;
        }
        is_prepared = 1;
    }
    PyObject *type = PyType_FromModuleAndSpec(module, &recording_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_calltree",
    .m_doc = "Records exact call trees; flaskprof.capture.calltree is its face.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__calltree(void)
{
    return PyModuleDef_Init(&module_definition);
}
