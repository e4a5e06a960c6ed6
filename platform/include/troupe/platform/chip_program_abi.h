#ifndef TROUPE_PLATFORM_CHIP_PROGRAM_ABI_H
#define TROUPE_PLATFORM_CHIP_PROGRAM_ABI_H

/* The border between an on-chip program (in a module of the user) and the chip that runs it (a platform
 * plugin): plain C, so that a module links no plugin. C++ users write chip_program.hpp and never see this.
 *
 * A chip program is called with troupe_program_call_v1 (module_abi.h): `orchestrator` points to a
 * troupe_chip_v1, `arguments` to a troupe_chip_arguments_v1. Everything is valid during the call only, and is
 * used on the thread of the call only. No op fails by return value alone: the first failure is latched by the
 * chip, the run ends with it, and every later op does nothing. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The 80 bytes of a troupe::runtime::Tensor. */
typedef struct troupe_chip_tensor_v1 {
  uint64_t words[10];
} troupe_chip_tensor_v1;

enum troupe_chip_argument_flag {
  TROUPE_CHIP_ALLOCATE = 1u << 0, /* the chip gives it memory; tag OUT, the tensor has no buffer yet */
  TROUPE_CHIP_FILL = 1u << 1      /* every element is `initial` before the task runs; with ALLOCATE */
};

typedef struct troupe_chip_argument_v1 {
  troupe_chip_tensor_v1 tensor; /* with ALLOCATE: out, gets its buffer */
  uint32_t tag;                 /* enum troupe_tag */
  uint32_t flags;               /* enum troupe_chip_argument_flag */
  uint64_t initial;             /* one element, in the low bytes */
} troupe_chip_argument_v1;

/* A task runs only if `element compare value` holds when it is about to start; else it ends well, unrun. */
typedef struct troupe_chip_predicate_v1 {
  const troupe_chip_tensor_v1* tensor; /* integer elements; a read of the task, for its dependencies */
  uint64_t element;                    /* index in elements from the tensor's first one */
  uint32_t compare;                    /* enum troupe_compare, signed */
  uint32_t reserved;
  int64_t value;
} troupe_chip_predicate_v1;

enum troupe_chip_lane { TROUPE_CHIP_AIC = 0, TROUPE_CHIP_AIV0 = 1, TROUPE_CHIP_AIV1 = 2 };
enum troupe_chip_task_flag {
  TROUPE_CHIP_SYNC_START = 1u << 0, /* all blocks start together */
  TROUPE_CHIP_DUMMY = 1u << 1       /* no kernel: only its dependencies */
};

typedef struct troupe_chip_task_v1 {
  uint32_t size;
  uint32_t flags;              /* enum troupe_chip_task_flag */
  const char* kernels[3];      /* by enum troupe_chip_lane; null: lane not used */
  size_t kernel_name_sizes[3]; /* without terminator */
  troupe_chip_argument_v1* arguments;
  const uint64_t* scalars;
  const uint64_t* after; /* explicit producers */
  const troupe_chip_predicate_v1* predicate;
  uint32_t argument_count, scalar_count, after_count;
  uint32_t blocks;             /* SPMD width, at least 1 */
  const uint8_t* scalar_kinds; /* enum troupe_scalar_kind for each scalar; null: nothing is known */
  /* Inside of a graph, for each scalar: 1 + which scalar of the graph it is, 0 for none. Null: none is. */
  const uint8_t* scalar_slots;
} troupe_chip_task_v1;

/* Programs that were built before it end before their member `scalar_slots`. */
#define TROUPE_CHIP_SCALAR_SLOTS_OF(task) \
  ((task)->size >= offsetof(troupe_chip_task_v1, scalar_slots) + sizeof(void*) ? (task)->scalar_slots : NULL)

/* Tasks that the program submits again and again: recorded once, replayed with other slots. */
typedef struct troupe_chip_graph_v1 {
  uint32_t size;
  uint32_t line; /* where in the program's source */
  const char* file;
  const char* name;                       /* of the graph, within its program */
  size_t name_size;                       /* without terminator */
  const troupe_chip_argument_v1* tensors; /* what its tasks use: tensor and tag */
  const uint64_t* scalars;
  const uint8_t* scalar_kinds;
  uint32_t tensor_count, scalar_count;
} troupe_chip_graph_v1;

typedef struct troupe_chip_ops_v1 {
  uint32_t size;
  uint32_t runtime; /* enum troupe_chip_runtime: how this program's graph is built */
  /* The number of the task, 0 when none was made. */
  uint64_t (*submit)(void* self, troupe_chip_task_v1* task);
  /* `after` waits for `before`; with the explicit-edge runtimes. */
  void (*edge)(void* self, uint64_t before, uint64_t after);
  void (*begin_scope)(void* self);
  void (*end_scope)(void* self);
  /* Memory for one tensor until its scope ends (argument: flags as for an output of a task). */
  void (*alloc)(void* self, troupe_chip_argument_v1* argument);
  /* Waits for the producers of one element, and reads it into the low bytes of `value` (0 after a fatal). */
  void (*get)(void* self, const troupe_chip_tensor_v1* tensor, uint64_t element, uint64_t* value);
  /* Writes one element, after its producers and readers. */
  void (*set)(void* self, const troupe_chip_tensor_v1* tensor, uint64_t element, uint64_t value);
  void (*report_fatal)(void* self, int32_t code, const char* text);
  /* The latched code, 0 when all is well. */
  int32_t (*fatal)(void* self);
  void (*log)(void* self, int32_t level, const char* text);
  /* Chips that were built before it end here. 1: the program submits the graph's tasks now, and calls
   * end_graph behind them (`complete` 0: an exception ends the program). 0: it must do neither: the graph is
   * replayed, or the run has failed. */
  int32_t (*begin_graph)(void* self, const troupe_chip_graph_v1* graph);
  void (*end_graph)(void* self, int32_t complete);
} troupe_chip_ops_v1;

#define TROUPE_CHIP_HAS_GRAPHS(ops) ((ops)->size >= offsetof(troupe_chip_ops_v1, end_graph) + sizeof(void*))

typedef struct troupe_chip_v1 {
  const troupe_chip_ops_v1* ops;
  void* self; /* first argument of every op */
} troupe_chip_v1;

typedef struct troupe_chip_arguments_v1 {
  const troupe_chip_tensor_v1* tensors; /* with device addresses */
  const uint8_t* tags;                  /* enum troupe_tag, as the run was launched */
  const uint64_t* scalars;
  uint32_t tensor_count, scalar_count;
} troupe_chip_arguments_v1;

#ifdef __cplusplus
}
#endif
#endif
