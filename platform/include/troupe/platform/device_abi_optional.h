#ifndef TROUPE_PLATFORM_DEVICE_ABI_OPTIONAL_H
#define TROUPE_PLATFORM_DEVICE_ABI_OPTIONAL_H

/* The device ABI: what a library may leave out. A host asks `device_properties` for its features, and looks
 * whether the symbols are there. All rules of device_abi.h hold here, too; a platform includes that one. */

#include "troupe/platform/device_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------- graphs --
 */

/* Since 1.4: runs that are launched together again and again, registered once. A launch gives what they use
 * together, its slots; each task sees parts of those. Nothing in a graph is an address of tensors. Lists
 * follow each other: those of a task begin where those of the one before it end. */

/* How a task sees a slot. */
typedef struct troupe_graph_tensor {
  uint64_t offset; /* bytes from the first element of the slot to that of this view, which lies inside */
  uint32_t slot;
  uint32_t ndims; /* 1..5 */
  uint32_t shape[5];
  uint32_t strides[5]; /* elements */
  uint8_t dtype;
  uint8_t tag; /* enum troupe_tag; one that writes needs a slot that is written */
  uint8_t reserved[6];
} troupe_graph_tensor;

#define TROUPE_GRAPH_NO_SLOT UINT32_MAX

enum troupe_graph_flag {
  /* The host sees to it that slots share bytes only as the producers allow: nobody need look. */
  TROUPE_GRAPH_OVERLAPS_ARE_KNOWN = 1u << 0
};

/* A number of a task. */
typedef struct troupe_graph_scalar {
  uint64_t word; /* unless it is a slot's */
  uint32_t slot; /* scalar of the launch, or TROUPE_GRAPH_NO_SLOT */
  uint8_t kind;  /* enum troupe_scalar_kind */
  uint8_t reserved[3];
} troupe_graph_scalar;

typedef struct troupe_graph_task {
  uint64_t callable; /* of a kernel, from register_callable; the graph keeps it alive */
  const char* name;  /* what the host calls the task, for people; null: nothing. Copied */
  uint32_t tensor_count, scalar_count;
  uint32_t producer_count; /* earlier tasks of the graph that it waits for */
  uint32_t blocks;         /* 0 means 1 */
  uint32_t flags;          /* of enum troupe_run_flag: TROUPE_RUN_SYNC_START */
  uint32_t reserved0;
  uint64_t reserved[2];
} troupe_graph_task;

typedef struct troupe_graph {
  uint32_t size;    /* in: sizeof(troupe_graph) */
  uint32_t flags;   /* enum troupe_graph_flag */
  const char* name; /* for people; null: nothing. Copied */
  const troupe_graph_task* tasks;
  const troupe_graph_tensor* tensors; /* of all tasks */
  const troupe_graph_scalar* scalars;
  const uint32_t* producers; /* numbers of tasks, from 0; lower than the task's own */
  /* What a launch has to bring, as its tensors will be: dims, shape, strides, dtype and tag. Buffers say
   * which slots share bytes: those with the same `buffer`, a number that the host chooses, are views of one
   * buffer at their start_offset; others share none. */
  const troupe_tensor_arg* slots;
  uint64_t task_count, tensor_count, scalar_count, producer_count;
  uint32_t slot_count, scalar_slot_count;
  uint64_t reserved[4];
} troupe_graph;

/* Graphs, since 1.4 (TROUPE_FEATURE_GRAPHS): a host without them launches each task as a run of its own.
 * register: INVALID_ARGUMENT for a graph that is none (null lists, counts that do not add up, views outside
 * their slot, producers that do not come first), UNKNOWN_CALLABLE, and UNSUPPORTED for one that this platform
 * cannot run as a whole: then the host launches its tasks. Ids are those of callables: never 0, never used
 * again.
 * launch: queues one run whose `callable` is the graph's id, with tensors and scalars for its slots; all that
 * launch_runs says holds, and its completion is that of the whole. Another number, type, shape, layout or tag
 * of slots than registered, or slots that share bytes in another way, is its completion:
 * BAD_TASK_ARGUMENTS. When a task fails, none that comes after it starts, and the message names the task.
 * Where a device starts the graph as a whole, tasks that do not come after it may still start, and write.
 * unregister: unfinished launches keep the graph alive; new ones do not find it. */
TROUPE_DEVICE_EXPORT int32_t register_graph(troupe_device_context* context, const troupe_graph* graph,
                                            uint64_t* id);
TROUPE_DEVICE_EXPORT int32_t launch_graph(troupe_device_context* context, const troupe_run* run,
                                          uint64_t settled);
TROUPE_DEVICE_EXPORT int32_t unregister_graph(troupe_device_context* context, uint64_t id);

/* -------------------------------------------------------------------------------------------------- moves --
 */

/* Since 1.5. One side of a move. */
typedef struct troupe_move_side {
  troupe_device_context* context; /* whose memory it is, of this library; null: host memory */
  uint64_t address;               /* of the first byte */
  uint64_t strides[5];            /* bytes from one run to the next, for each dimension */
} troupe_move_side;

/* Bytes that go from one memory to another: a box of runs without gaps, with steps of its own on each side.
 */
typedef struct troupe_move {
  troupe_move_side from, to;
  uint64_t run_bytes;  /* of each run; 0: nothing is moved */
  uint32_t ndims;      /* 0..5; 0: one run */
  uint32_t extents[5]; /* runs along each dimension, the last is the innermost; 0: nothing is moved */
  /* For moves that are launched: zero, and null, until a later version gives them a meaning. */
  uint64_t correlation;
  const uint64_t* depends_on;
  uint32_t depends_count;
  uint32_t flags;
  uint64_t reserved[4];
} troupe_move;

/* Moves, since 1.5 (TROUPE_FEATURE_MOVES): a host without them copies by way of host memory.
 * Makes one move and waits for its end; not ordered with runs: the host orders them, and they go on
 * meanwhile. One side at least is memory of `context`; the other is of the host, of the same context, or of
 * another one of this library in this process. On a device each side lies inside one allocation or window
 * (OUT_OF_RANGE, BAD_ADDRESS), strides and extents included. Where both sides name a byte, what it has
 * afterwards is open. It uses both contexts, and may be called for as long as neither is destroyed:
 * INVALID_STATE, LOST and the like are also of the other one. Their memory stays while it is moved:
 * device_free_ctx and window_release answer BUSY. Reset and finalize of either end the move with ABORTED, and
 * return when it has left the memory of both alone. */
TROUPE_DEVICE_EXPORT int32_t run_move(troupe_device_context* context, const troupe_move* move);

/* ------------------------------------------------------------------------------------------------ windows --
 */

#define TROUPE_WINDOW_BLOB_BYTES 256u

/* A stretch of a window that belongs to no buffer. */
typedef struct troupe_window_gap {
  uint64_t offset, bytes;
} troupe_window_gap;

/* One rank's part of a communication domain. All ranks of a domain pass the same id, epoch, count and bytes.
 */
typedef struct troupe_window_spec {
  uint64_t domain[2]; /* unique id of the domain */
  uint64_t epoch;     /* which incarnation of it */
  uint64_t bytes;     /* of each rank's window */
  uint32_t rank, rank_count;
  /* Since 1.2. Memory that no task uses: a platform may put a pattern there and check that it stays.
   * Null: the whole window is used. */
  const troupe_window_gap* gaps;
  uint64_t gap_count;
  uint64_t reserved[2];
} troupe_window_spec;

/* One rank's description of its window, for the others. */
typedef struct troupe_window_blob {
  uint8_t bytes[TROUPE_WINDOW_BLOB_BYTES]; /* the platform's own; validated on import */
  uint32_t byte_count;
  int32_t fd; /* -1, or a descriptor owned by the window until commit, abort or release; a host that sends
                 the blob to another process passes it along (SCM_RIGHTS). Import duplicates it */
} troupe_window_blob;

typedef struct troupe_window_view {
  uint64_t context_address; /* device address of the 1056-byte CommContext, as kernels take it */
  uint64_t local_base;      /* device address of the own window: copies and device tensors may use it */
  uint64_t bytes;
  uint64_t reserved[2];
} troupe_window_view;

/* Split-phase windows; nothing here waits for a peer. create: the own window, zeroed, and its blob. import:
 * one peer's blob (the own rank's is fine and ignored). commit: all ranks are imported, the window is usable.
 * abort: every wait on the window (of kernels, in all ranks that share its memory) ends with `code` naming
 * `rank` (TROUPE_DEVICE_ABORTED, or comm's peer_lost), no new wait starts; in every phase. release: forgets
 * the window; BUSY while an unfinished run uses it. */
TROUPE_DEVICE_EXPORT int32_t window_create(troupe_device_context* context, const troupe_window_spec* spec,
                                           uint64_t* window, troupe_window_blob* blob);
TROUPE_DEVICE_EXPORT int32_t window_import(troupe_device_context* context, uint64_t window, uint32_t rank,
                                           const troupe_window_blob* blob);
TROUPE_DEVICE_EXPORT int32_t window_commit(troupe_device_context* context, uint64_t window,
                                           troupe_window_view* view);
TROUPE_DEVICE_EXPORT int32_t window_abort(troupe_device_context* context, uint64_t window, int32_t code,
                                          uint32_t rank);
TROUPE_DEVICE_EXPORT int32_t window_release(troupe_device_context* context, uint64_t window);

/* -------------------------------------------------------------------------------------- programs of ranks --
 */

/* The blocking layer for rank programs: collective, in the same order on every rank. comm_init answers null
 * on failure (see last error); a second session while one is live is INVALID_STATE unless the platform has an
 * option to ask for several (the simulated chips: several_communicators), and it was set. */
TROUPE_DEVICE_EXPORT void* comm_init(troupe_device_context* context, int32_t rank, int32_t rank_count,
                                     void* stream, const char* rootinfo_path);
TROUPE_DEVICE_EXPORT int32_t comm_alloc_windows(troupe_device_context* context, void* comm, uint64_t bytes,
                                                uint64_t* context_address);
TROUPE_DEVICE_EXPORT int32_t comm_get_local_window_base(troupe_device_context* context, void* comm,
                                                        uint64_t* address);
TROUPE_DEVICE_EXPORT int32_t comm_get_window_size(troupe_device_context* context, void* comm,
                                                  uint64_t* bytes);
TROUPE_DEVICE_EXPORT int32_t comm_barrier(troupe_device_context* context, void* comm);
TROUPE_DEVICE_EXPORT int32_t comm_destroy(troupe_device_context* context, void* comm);
/* Since 1.1. Gives the context's session up, from any thread: every comm_* call on it, running or later, on
 * this and every other rank, ends with an error, except comm_destroy, which frees and does not wait. Fine
 * without a session. */
TROUPE_DEVICE_EXPORT int32_t comm_abort(troupe_device_context* context);

/* For hardware communicators that need a runtime and a stream of their own. */
TROUPE_DEVICE_EXPORT int32_t ensure_acl_ready_ctx(troupe_device_context* context, int32_t device_id);
TROUPE_DEVICE_EXPORT void* create_comm_stream_ctx(troupe_device_context* context);
TROUPE_DEVICE_EXPORT int32_t destroy_comm_stream_ctx(troupe_device_context* context, void* stream);

#ifdef __cplusplus
}
#endif

#endif
