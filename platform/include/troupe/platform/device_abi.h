#ifndef TROUPE_PLATFORM_DEVICE_ABI_H
#define TROUPE_PLATFORM_DEVICE_ABI_H

/* The device ABI: the interface of a platform.
 *
 * A platform is one shared library that exports the functions at the end of this file, and what it likes of
 * device_abi_optional.h. Everything hangs on an
 * opaque context handle: a library keeps nothing outside its contexts, so any number of contexts of one
 * library live in one process and know nothing of each other. docs/device-abi.md tells the story,
 * docs/porting.md the order in which to implement it, and `troupe-conformance --library path` checks it.
 *
 * Rules that hold for every function
 *  - Returns 0 or a code (device_codes.h). After a failure `device_last_error` has the code and a sentence.
 *  - Never throws, never lets an exception out, never terminates the process over a wrong argument: null
 *    pointers, sizes that overflow, foreign or freed addresses and unknown ids are answered with a code.
 *  - May be called from any thread. Calls on one context may overlap; calls on two contexts share nothing.
 *  - Pointers in arguments are read during the call only, and strings are copied. The exceptions are named
 *    where they occur: modules, and host tensors of a run.
 *  - Everything a host passes that has a length or an id is untrusted; the host table itself is trusted.
 *
 * Versions
 *  A library answers `troupe_device_abi_version()`. Same major: compatible; a minor adds optional functions
 *  and gives a meaning to reserved fields, which are zero until then. Structs never change size in a major.
 *
 * States of a context
 *   create -> created -(set_device)-> ready -(reset_device)-> created
 *   any of them -(finalize_device)-> finalized -(destroy_device_context)-> gone
 *  Memory, callables, windows and runs need `ready`. After `finalized` every call answers FINALIZED.
 *  After destroy has answered 0 the handle is dangling, as after free(): only the wrapper above can tell. */

#include <stddef.h>
#include <stdint.h>

#include "troupe/platform/device_codes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TROUPE_DEVICE_ABI_MAJOR 1u
#define TROUPE_DEVICE_ABI_MINOR 5u
#define TROUPE_DEVICE_ABI_VERSION ((TROUPE_DEVICE_ABI_MAJOR << 16) | TROUPE_DEVICE_ABI_MINOR)

#if defined(__GNUC__)
#define TROUPE_DEVICE_EXPORT __attribute__((visibility("default")))
#else
#define TROUPE_DEVICE_EXPORT
#endif

typedef struct troupe_device_context troupe_device_context; /* the platform's own; opaque to the host */
struct troupe_module_v1;                                    /* troupe/runtime/module.hpp */

/* ------------------------------------------------------------------------------------------------- host --
 */

enum troupe_log_level {
  TROUPE_LOG_ERROR = 1,
  TROUPE_LOG_WARNING = 2,
  TROUPE_LOG_INFO = 3,
  TROUPE_LOG_DEBUG = 4
};

/* How a run ended. Valid during the callback only. */
typedef struct troupe_completion {
  uint64_t correlation; /* troupe_run::correlation */
  int32_t code;         /* 0: success, outputs are in place. Otherwise no output was copied back */
  uint32_t reserved0;
  const char* message;  /* null on success; otherwise names kernel, core, argument */
  uint64_t caused_by;   /* POISONED: the correlation of the run that failed first */
  uint64_t queued_ns;   /* host clock: when launched, */
  uint64_t started_ns;  /* when the first kernel or the chip program began (0: never), */
  uint64_t finished_ns; /* when it ended */
  uint64_t chip_tasks;  /* kernels executed */
  uint64_t reserved[3];
} troupe_completion;

/* One kernel (or chip program) that ran; emitted for runs with TROUPE_RUN_PROFILE. Times are host clock; 0:
 * unknown. Blocks and cores of one task share its number and come as events of their own. */
typedef struct troupe_trace_event {
  uint64_t correlation;
  const char* name;
  uint64_t task;          /* number within its run, from 1; 0: the chip program itself */
  uint64_t submitted_ns;  /* by the chip program, */
  uint64_t ready_ns;      /* all its producers done, */
  uint64_t dispatched_ns; /* given to the core */
  uint64_t begin_ns, end_ns;
  uint64_t waited_ns;        /* between begin and end, spent in waits for a peer */
  const uint64_t* producers; /* numbers of the tasks it had to wait for; with block 0 only, else null */
  uint32_t producer_count;
  uint32_t core;      /* TROUPE_NO_CORE: on none */
  uint32_t core_kind; /* enum troupe_core_kind */
  uint32_t block, block_count;
  uint32_t ring; /* scope depth */
  int32_t code;  /* 0, or how it failed */
  uint32_t reserved0;
  uint64_t reserved[2];
} troupe_trace_event;

/* Contents of one tensor of one kernel; emitted for runs with TROUPE_RUN_DUMP. */
typedef struct troupe_dump_record {
  uint64_t correlation;
  const char* name;  /* the kernel */
  uint64_t task;     /* number within its run, as in troupe_trace_event; 0: the run's own arguments */
  uint32_t argument; /* which tensor */
  uint32_t tag;      /* enum troupe_tag */
  uint32_t after;    /* 0: before the kernel, 1: after it */
  uint32_t reserved1;
  uint32_t dtype, ndims;
  uint32_t shape[5];
  uint32_t reserved0;
  const void* data; /* dense copy in row-major order */
  uint64_t bytes;
  uint64_t reserved[2];
} troupe_dump_record;

/* A record of what a thread is inside of, for a host that reports crashes: plain memory,
 * readable from a signal handler. Since 1.2. */
typedef struct troupe_running {
  const char* what; /* a word for people: "kernel", "chip program", "the loading of callable" */
  const char* name; /* of the kernel or chip program */
  const char* task; /* troupe_run::name; null: none was given */
  /* The argument words of a kernel: the first `tensor_count` are addresses of descriptors (those of the
   * kernel ABI, whose first two fields are address and bytes). Null: unknown. */
  const int64_t* words;
  uint32_t tensor_count;
  uint32_t core;      /* TROUPE_NO_CORE: on none */
  uint32_t core_kind; /* enum troupe_core_kind */
  uint32_t block, block_count;
  uint32_t reserved0;
  uint64_t correlation; /* of the run */
  const char* where;    /* the host's: whose chip that is. Null until the host has filled it in */
  uint64_t reserved[3];
} troupe_running;

/* The services that a host lends to a context: threads, time and sinks. The host owns them, so that a
 * deterministic host can run everything on one thread with a virtual clock. A null table, or a null entry,
 * means the default written beside it. The table is copied at create; what `data` points to outlives the
 * context (and, for a context whose destroy answered BUSY, the process). All entries may be called from any
 * thread. */
typedef struct troupe_host {
  uint32_t abi_version;      /* TROUPE_DEVICE_ABI_VERSION of the host */
  uint32_t size;             /* sizeof(troupe_host) */
  void* data;                /* first argument of every entry */
  const void* platform_data; /* something for one particular platform; others ignore it; usually null */

  /* A sentence for people; `code` is 0 or an error code. Default: errors go to stderr, the rest nowhere. */
  void (*log)(void* data, int32_t level, int32_t code, const char* text);
  /* Nanoseconds of a clock that never goes back. Default: the steady clock. */
  uint64_t (*now)(void* data);
  /* Calls task(arg, 0) once, `delay_ns` from now, never from inside post; task must not block. Returns 0 when
   * accepted. An accepted task is called exactly once: a host that ends first calls task(arg, 1) and the
   * task then only lets go of what it owns. Default: a thread of the context's own. */
  int32_t (*post)(void* data, uint64_t delay_ns, void (*task)(void* arg, int32_t cancelled), void* arg);
  /* Calls body(arg) on a thread that belongs to it until it returns. Returns 0 when accepted; SYSTEM when no
   * thread can be had now, and what needs it fails with SYSTEM; another code when this host never gives any,
   * and the platform then works through `post`, or fails with SYSTEM. Every body has returned before destroy
   * answers 0. Default: std::thread or the like. */
  int32_t (*start_thread)(void* data, const char* name, void (*body)(void* arg), void* arg);
  /* Sinks. Default: nothing is recorded. */
  void (*trace)(void* data, const troupe_trace_event* events, size_t count);
  void (*dump)(void* data, const troupe_dump_record* record);
  /* Ends of launched runs, in batches. Rules: every run that a launch accepted is completed exactly once;
   * never on the stack of a function of this ABI that the host is inside of, except destroy, finalize and
   * reset; calls for one context never overlap; the callback must not call this ABI for that context (the
   * call answers REENTRANT_CALL); none comes after destroy returned, whatever destroy answered. Default:
   * launch_runs answers INVALID_STATE; run_runtime needs no callback. */
  void (*complete)(void* data, const troupe_completion* completions, size_t count);
  /* Since 1.2. The calling thread goes into `what`, or back to what an earlier call answered (null: out of
   * everything). Answers what it was in before. Called around every kernel and chip program, and around the
   * loading and unloading of code that came as bytes, which may run some of it; `what` stays unchanged, and
   * where it is, until the thread has gone back. Default: no record is kept. */
  troupe_running* (*running)(void* data, troupe_running* what);
  void* reserved[3];
} troupe_host;

/* -------------------------------------------------------------------------------------- what a device is --
 */

#define TROUPE_NO_CORE UINT32_MAX

enum troupe_core_kind {
  TROUPE_CORE_AIC = 0,    /* matrix core */
  TROUPE_CORE_AIV = 1,    /* vector core */
  TROUPE_CORE_CONTROL = 2 /* runs chip programs */
};

enum troupe_device_feature {
  TROUPE_FEATURE_MODULES = 1u << 0,       /* callables from modules of the host process */
  TROUPE_FEATURE_FOREIGN_BYTES = 1u << 1, /* callables from bytes */
  TROUPE_FEATURE_WINDOWS = 1u << 2,       /* window_* */
  TROUPE_FEATURE_COMM = 1u << 3,          /* comm_* */
  TROUPE_FEATURE_OVERLAP = 1u << 4,       /* independent runs may execute at the same time */
  /* Since 1.3. What a platform promises of its kernels: */
  TROUPE_FEATURE_HOST_KERNELS = 1u << 5, /* they are functions of the host process, chip programs too */
  TROUPE_FEATURE_TOGETHER = 1u << 6,     /* blocks with SYNC_START run together, up to one for each core */
  TROUPE_FEATURE_GRAPHS = 1u << 7,       /* since 1.4: register_graph, launch_graph, unregister_graph */
  TROUPE_FEATURE_MOVES = 1u << 8         /* since 1.5: run_move */
};

typedef struct troupe_device_properties {
  uint32_t size;         /* in: sizeof(troupe_device_properties) */
  int32_t device_id;     /* -1: none set */
  char architecture[32]; /* "a2a3sim" */
  uint32_t device_count; /* device numbers are 0 .. device_count-1 */
  uint32_t features;     /* enum troupe_device_feature */
  uint32_t clusters;     /* a cluster is 1 AIC + 2 AIV on today's chips: */
  uint32_t aic_per_cluster;
  uint32_t aiv_per_cluster;
  uint32_t control_threads; /* threads for chip programs and scheduling */
  uint32_t max_tensors;     /* per run */
  uint32_t max_scalars;
  uint32_t queue_depth; /* unfinished runs that a context takes; more: QUEUE_FULL */
  uint32_t reserved0;
  uint64_t memory_bytes; /* device memory limit */
  uint64_t counter_hz;
  uint64_t l1_bytes, ub_bytes, l0_bytes; /* on-chip buffers, 0: unknown */
  const char* device_name; /* since 1.3: what device and driver call themselves; null: no more is known than
                              the architecture. Valid until the context is gone */
  uint64_t reserved[3];
} troupe_device_properties;

enum troupe_device_state {
  TROUPE_STATE_CREATED = 0,
  TROUPE_STATE_READY = 1,
  TROUPE_STATE_FINALIZED = 2,
  TROUPE_STATE_LOST = 3,       /* the device died; runs end with LOST */
  TROUPE_STATE_QUARANTINED = 4 /* destroy, finalize or reset answered BUSY */
};

typedef struct troupe_device_status {
  uint32_t size;                                                   /* in: sizeof(troupe_device_status) */
  int32_t state;                                                   /* enum troupe_device_state */
  uint64_t runs_queued, runs_running, runs_completed, runs_failed; /* failed: part of completed */
  uint64_t allocations, memory_used, memory_peak;                  /* bytes */
  uint64_t callables, windows;
  uint64_t reserved[4];
} troupe_device_status;

enum troupe_activity {
  TROUPE_ACTIVITY_RUNNING = 0, /* inside a kernel or a chip program */
  TROUPE_ACTIVITY_WAITING = 1  /* inside one of our waits: a flag, a peer, a tensor element */
};

/* One core that is not idle. */
typedef struct troupe_core_status {
  uint32_t core;      /* TROUPE_NO_CORE: on none */
  uint32_t core_kind; /* enum troupe_core_kind */
  uint32_t activity;  /* enum troupe_activity */
  uint32_t block;
  uint64_t correlation; /* of the run */
  uint64_t since_ns;    /* host clock: when this kernel began */
  char name[64];        /* kernel or chip program, truncated */
  char detail[64];      /* what a wait is for, or empty */
} troupe_core_status;

/* ---------------------------------------------------------------------------------------------- callables --
 */

/* Either a function of a module (`module` set), or foreign bytes under a name (`bytes` set). */
typedef struct troupe_callable {
  const char* name; /* unique within the context */
  /* The module whose descriptor of that name (kind: kernel or chip program) is meant. Borrowed until the
   * context is gone: modules stay loaded. A chip program finds its kernels by name: first in its own
   * module, then among the callables registered on this context. */
  const struct troupe_module_v1* module;
  const void* bytes; /* an object with `kernel_entry`; copied */
  uint64_t byte_count;
  uint32_t core_kind;       /* of foreign bytes; a descriptor knows its own */
  uint32_t signature_count; /* of foreign bytes; 0: not checked */
  const uint8_t* signature; /* one enum troupe_tag or TROUPE_SIGNATURE_SCALAR each */
  uint64_t reserved[4];
} troupe_callable;

#define TROUPE_SIGNATURE_SCALAR 255u

/* --------------------------------------------------------------------------------------------------- runs --
 */

/* The values of troupe/runtime's tags and dtypes. */
enum troupe_tag {
  TROUPE_TAG_IN = 0,           /* read */
  TROUPE_TAG_OUT = 1,          /* every byte is written; never copied in */
  TROUPE_TAG_INOUT = 2,        /* read and written */
  TROUPE_TAG_OUT_EXISTING = 3, /* written into memory that exists; copied back like OUT */
  TROUPE_TAG_NO_DEP = 4        /* read, without ordering */
};

enum troupe_address_space {
  TROUPE_SPACE_HOST = 0,  /* the platform copies it in before and out after, as the tag says */
  TROUPE_SPACE_DEVICE = 1 /* an address of this context (memory or window): passes straight through */
};

/* A view of a buffer. Two arguments with the same buffer address share one device copy. Host buffers are
 * borrowed until the run's completion. */
typedef struct troupe_tensor_arg {
  uint64_t buffer;       /* address of the buffer */
  uint64_t buffer_bytes; /* its size; the view lies inside */
  uint64_t start_offset; /* of the view's first element, in elements */
  uint32_t ndims;        /* 1..5 */
  uint32_t shape[5];     /* elements */
  uint32_t strides[5];   /* elements */
  uint8_t dtype;
  uint8_t tag;           /* enum troupe_tag */
  uint8_t address_space; /* enum troupe_address_space */
  uint8_t flags;         /* enum troupe_tensor_flag */
  uint8_t reserved[4];
} troupe_tensor_arg;

enum troupe_tensor_flag {
  /* Since 1.3. Of a device buffer: while the run is unfinished, the host writes nothing into it. So what a
   * kernel waits for there can only come from a kernel, and where none can, the wait is in vain. */
  TROUPE_TENSOR_LEFT_ALONE = 1u << 0
};

enum troupe_run_flag {
  TROUPE_RUN_SYNC_START = 1u << 0, /* all blocks start together or the run fails with CAPACITY_EXCEEDED */
  TROUPE_RUN_PROFILE = 1u << 1,    /* emit trace events */
  TROUPE_RUN_DUMP = 1u << 2        /* emit tensor dumps */
};

/* How a chip program builds its graph; chosen per callable, so usually left alone. */
enum troupe_chip_runtime {
  TROUPE_CHIP_RUNTIME_DEFAULT = 0, /* what the callable's descriptor says */
  TROUPE_CHIP_RUNTIME_TENSORMAP = 1,
  TROUPE_CHIP_RUNTIME_HOST_GRAPH = 2,
  TROUPE_CHIP_RUNTIME_CHIP_GRAPH = 3
};

typedef struct troupe_run {
  /* The host's number for the run. Within a context, each accepted run has a higher one than the run before;
   * 0 is not a number. */
  uint64_t correlation;
  uint64_t callable; /* from register_callable */
  const troupe_tensor_arg* tensors;
  const uint64_t* scalars; /* 64-bit words */
  /* Earlier runs of this context that this one waits for, by correlation. If one of them did not succeed,
   * this one is skipped: POISONED, caused_by = the first failure. A number that is no earlier run's is
   * BAD_TASK_ARGUMENTS. This is in-order dispatch: the host may
   * launch a dependent before it has seen its producer's completion. */
  const uint64_t* depends_on;
  uint32_t tensor_count, scalar_count, depends_count;
  uint32_t flags;           /* enum troupe_run_flag */
  uint32_t blocks;          /* SPMD width of a bare kernel; 0 means 1 */
  uint32_t block_dim;       /* clusters a chip program may use; 0: all */
  uint32_t control_threads; /* 0: the platform's default */
  uint32_t chip_runtime;    /* enum troupe_chip_runtime */
  const char* name;         /* since 1.2: what the host calls the task, for people; null: nothing. Copied */
  const uint8_t* scalar_kinds; /* enum troupe_scalar_kind for each scalar; null: nothing is known */
  uint64_t reserved[2];
} troupe_run;

#define TROUPE_ALL_RUNS UINT64_MAX

/* --------------------------------------------------------------------------------------- required symbols --
 */

TROUPE_DEVICE_EXPORT uint32_t troupe_device_abi_version(void);

/* A new context, or null: then `log` has been called once with the code and the reason. */
TROUPE_DEVICE_EXPORT troupe_device_context* create_device_context(const troupe_host* host);

/* Ends everything: aborts what runs, completes every unfinished run (ABORTED), frees all, waits for the
 * context's threads. Null is fine. BUSY: a kernel did not return within the grace (option "grace_ms"); the
 * text names it. Its runs have been completed (ABORTED) all the same, and the handle stays valid: the
 * context is quarantined, every call but status, last_error and destroy answers QUARANTINED, and a later
 * destroy may succeed. */
TROUPE_DEVICE_EXPORT int32_t destroy_device_context(troupe_device_context* context);

/* Options of a context, before set_device; platforms document their own. Every platform knows "grace_ms" (how
 * long abort, reset and destroy wait for a kernel; default 1000) and "memory_bytes" (a lower memory limit).
 * UNKNOWN_OPTION for others and for values that do not parse. */
TROUPE_DEVICE_EXPORT int32_t set_device_option(troupe_device_context* context, const char* name,
                                               const char* value);

/* Binds the context to a device. INVALID_STATE when one is set: reset first. */
TROUPE_DEVICE_EXPORT int32_t set_device(troupe_device_context* context, int32_t device_id);
/* Back to `created`: aborts and completes all runs, frees all memory, windows and callables. Fine when no
 * device is set. BUSY as for destroy. */
TROUPE_DEVICE_EXPORT int32_t reset_device(troupe_device_context* context);
/* reset_device, then `finalized`, for good. Fine when done before. BUSY as for destroy. */
TROUPE_DEVICE_EXPORT int32_t finalize_device(troupe_device_context* context);

/* Device memory, at least 64-byte aligned. Zero bytes: INVALID_ARGUMENT. */
TROUPE_DEVICE_EXPORT int32_t device_malloc_ctx(troupe_device_context* context, uint64_t bytes,
                                               uint64_t* address);
/* Address 0 is fine. DOUBLE_FREE for an address freed before and not given out since, BAD_ADDRESS for one
 * that is not the start of an allocation, BUSY while an unfinished run uses it. */
TROUPE_DEVICE_EXPORT int32_t device_free_ctx(troupe_device_context* context, uint64_t address);
/* Copies between host memory and an allocation or window of this context; any start inside it, up to its end
 * (OUT_OF_RANGE beyond). Blocking, and not ordered with runs: the host orders them. Zero bytes: fine. */
TROUPE_DEVICE_EXPORT int32_t copy_to_device_ctx(troupe_device_context* context, uint64_t device_address,
                                                const void* host, uint64_t bytes);
TROUPE_DEVICE_EXPORT int32_t copy_from_device_ctx(troupe_device_context* context, void* host,
                                                  uint64_t device_address, uint64_t bytes);

/* ALREADY_REGISTERED when the name is taken. Ids are never 0 and never used again within a context. */
TROUPE_DEVICE_EXPORT int32_t register_callable(troupe_device_context* context,
                                               const troupe_callable* callable, uint64_t* id);
/* Unfinished runs keep it alive; new runs do not find it. */
TROUPE_DEVICE_EXPORT int32_t unregister_callable(troupe_device_context* context, uint64_t id);

/* Queues runs and returns. All or nothing: QUEUE_FULL, INVALID_ARGUMENT (null arrays, correlations not
 * rising) or INVALID_STATE accept none. An error in one run's own content (callable, arguments,
 * addresses, blocks) is that run's completion. Runs start in launch order, each when what it depends on
 * has ended; independent runs may overlap, none overtakes.
 * `settled`: the host has seen the completions of all runs with a lower correlation, and no unfinished run,
 * launched before, now or later, names them in depends_on: the context may forget how they ended. */
TROUPE_DEVICE_EXPORT int32_t launch_runs(troupe_device_context* context, const troupe_run* runs, size_t count,
                                         uint64_t settled);
/* Queues one run, waits for its end, answers its code. `correlation` is ignored, depends_on is empty, no
 * completion callback is made for it; `completion` (null: not wanted) is filled, without the message, which
 * is the last error. */
TROUPE_DEVICE_EXPORT int32_t run_runtime(troupe_device_context* context, const troupe_run* run,
                                         troupe_completion* completion);
/* Asks one run (or TROUPE_ALL_RUNS) to end: nothing more of it starts, its waits end with ABORTED, it
 * completes with ABORTED once its kernels have returned. Never waits for a kernel. A run that has ended:
 * fine. INVALID_ARGUMENT: never launched. */
TROUPE_DEVICE_EXPORT int32_t abort_runs(troupe_device_context* context, uint64_t correlation);

TROUPE_DEVICE_EXPORT int32_t device_properties(troupe_device_context* context,
                                               troupe_device_properties* properties);
/* `cores`: up to `capacity` busy cores; `count` (never null): how many there are. Never waits for a kernel.
 * Works in every state. */
TROUPE_DEVICE_EXPORT int32_t device_status(troupe_device_context* context, troupe_device_status* status,
                                           troupe_core_status* cores, size_t capacity, size_t* count);
/* Code and text (null-terminated, truncated to `capacity`; null with 0 when not wanted) of the context's
 * latest failed call, 0 and "" when none failed. Calls from other threads may come between: a caller that
 * needs the pair makes no other call meanwhile. Works in every state and from inside a completion callback.
 */
TROUPE_DEVICE_EXPORT int32_t device_last_error(troupe_device_context* context, int32_t* code, char* text,
                                               size_t capacity);

#ifdef __cplusplus
}
#endif

/* What a library may leave out: graphs, moves, windows, the layer for rank programs. */
#include "troupe/platform/device_abi_optional.h"

#endif
