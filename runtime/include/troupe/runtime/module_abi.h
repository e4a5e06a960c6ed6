#ifndef TROUPE_RUNTIME_MODULE_ABI_H
#define TROUPE_RUNTIME_MODULE_ABI_H

/* The exports of a module file, as plain C: the border between user code, the floors and the platform
 * plugins, which may each carry their own copy of troupe. A module is a shared library (or the program
 * itself) with one exported symbol, `troupe_module`, of type `const troupe_module_v1* const`. C++ users write
 * the macros of module.hpp and never see this file.
 *
 * Rules: everything a descriptor points to is constant and lives as long as the module is loaded. No
 * exception leaves an invoke function: it returns a troupe_outcome and, for troupe_failed, a text. Structs
 * only ever grow at their end; `size` says how much of it the module knew. Invoke functions may be called
 * from any thread, at the same time; what a call points to is borrowed and ends with the call. */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TROUPE_MODULE_MAGIC 0x4D505254u /* "TRPM" */
#define TROUPE_MODULE_VERSION 1u
#define TROUPE_MODULE_SYMBOL "troupe_module"

enum troupe_callable_kind {
  TROUPE_CALLABLE_KERNEL = 1,       /* runs on one core, many blocks at a time */
  TROUPE_CALLABLE_CHIP_PROGRAM = 2, /* builds a task graph on the chip */
  TROUPE_CALLABLE_PROGRAM = 3,      /* orchestrates from node level up */
  TROUPE_CALLABLE_HOST_FUNCTION = 4 /* runs on a sub-worker of the host */
};

/* The type that a scalar word was made from; ANY: unknown. */
enum troupe_scalar_kind {
  TROUPE_SCALAR_ANY = 0,
  TROUPE_SCALAR_I8 = 1,
  TROUPE_SCALAR_U8 = 2,
  TROUPE_SCALAR_I16 = 3,
  TROUPE_SCALAR_U16 = 4,
  TROUPE_SCALAR_I32 = 5,
  TROUPE_SCALAR_U32 = 6,
  TROUPE_SCALAR_I64 = 7,
  TROUPE_SCALAR_U64 = 8,
  TROUPE_SCALAR_BOOL = 9,
  TROUPE_SCALAR_F32 = 10,
  TROUPE_SCALAR_F64 = 11,
  TROUPE_SCALAR_F16 = 12,
  TROUPE_SCALAR_BF16 = 13
};

/* How an invoke function, or a wait inside it, ended. */
enum troupe_outcome {
  TROUPE_DONE = 0,
  TROUPE_ABORTED = 1,   /* the run is being given up */
  TROUPE_PEER_LOST = 2, /* the kernel that should raise a flag cannot come any more */
  TROUPE_FAILED = 3     /* the user's code failed; see the text */
};

enum troupe_flag_type { TROUPE_FLAG_I32 = 0, TROUPE_FLAG_U64 = 1 };
enum troupe_compare {
  TROUPE_EQUAL = 0,
  TROUPE_NOT_EQUAL = 1,
  TROUPE_GREATER = 2,
  TROUPE_GREATER_EQUAL = 3,
  TROUPE_LESS = 4,
  TROUPE_LESS_EQUAL = 5
};
enum troupe_notify { TROUPE_NOTIFY_SET = 0, TROUPE_NOTIFY_ADD = 1 };

/* Services of the chip that runs a kernel. A platform without a member (null) gets the plain-memory
 * behaviour: a bounded pause between loads for wait, an atomic store or add for notify. Thread: the kernel's
 * own. */
typedef struct troupe_kernel_ops_v1 {
  uint32_t size;
  uint32_t reserved;
  /* Returns TROUPE_DONE once `*flag compare value` was seen (acquire), else why it never will be. i32 flags
   * compare signed, and `value` holds the number sign-extended. */
  int32_t (*wait)(void* self, const void* flag, uint32_t flag_type, uint32_t compare, uint64_t value);
  /* Sets or adds (release) and wakes the waiters of that flag. */
  void (*notify)(void* self, void* flag, uint32_t flag_type, uint32_t operation, uint64_t value);
  /* Whether the run is being given up; long loops ask between steps. */
  int32_t (*aborted)(void* self);
  void (*log)(void* self, int32_t level, const char* text);
} troupe_kernel_ops_v1;

/* One call of a kernel. */
typedef struct troupe_kernel_call_v1 {
  uint32_t size;
  uint32_t tensors; /* words[0 … tensors-1]: addresses of tensor descriptors */
  uint32_t scalars; /* the next words: scalars */
  uint32_t reserved;
  int64_t* words;                  /* 50 of them */
  const troupe_kernel_ops_v1* ops; /* null: plain memory */
  void* self;                      /* first argument of every op */
  char* error_text;                /* where to put the text of TROUPE_FAILED; may be null */
  size_t error_text_size;          /* bytes there, terminator included */
  const uint8_t* scalar_kinds;     /* a troupe_scalar_kind for each scalar; null: nothing is known */
} troupe_kernel_call_v1;

/* One call of a host function: descriptors of host memory and scalars, without the 50-word limit. */
typedef struct troupe_host_call_v1 {
  uint32_t size;
  uint32_t tensors;
  uint32_t scalars;
  uint32_t reserved;
  const void* const* descriptors; /* `tensors` pointers to 128-byte tensor descriptors */
  const uint64_t* scalar_words;
  char* error_text;
  size_t error_text_size;
  const uint8_t* scalar_kinds; /* a troupe_scalar_kind for each scalar; null: nothing is known */
  const uint8_t* read_only;    /* 1 for each tensor that the task only reads; null: nothing is known */
} troupe_host_call_v1;

/* One call of a chip program or a program: the two pointers mean what the floor that owns the kind says. */
typedef struct troupe_program_call_v1 {
  uint32_t size;
  uint32_t reserved;
  void* orchestrator;
  void* arguments;
  char* error_text;
  size_t error_text_size;
  const uint8_t* scalar_kinds; /* of a chip program: a troupe_scalar_kind for each scalar, or null */
} troupe_program_call_v1;

typedef union troupe_invoke_v1 {
  int32_t (*kernel)(const troupe_kernel_call_v1* call);
  int32_t (*host_function)(const troupe_host_call_v1* call);
  int32_t (*program)(const troupe_program_call_v1* call); /* chip programs too */
} troupe_invoke_v1;

typedef struct troupe_callable_v1 {
  uint32_t size;
  uint32_t kind;    /* troupe_callable_kind */
  uint32_t variant; /* the kind's own; a chip program: enum troupe_chip_runtime, how it builds its graph */
  uint32_t reserved;
  const char* name;      /* unique in its module and kind */
  const char* signature; /* comma-separated parameter words, e.g. "tensor,f32"; "..." when not declared */
  troupe_invoke_v1 invoke;
} troupe_callable_v1;

/* In which form code for devices comes. */
enum troupe_image_format {
  TROUPE_IMAGE_SPIR = 1,  /* LLVM bitcode for the target spir64 (OpenCL with cl_khr_spir) */
  TROUPE_IMAGE_SPIRV = 2, /* SPIR-V of the OpenCL kind */
  TROUPE_IMAGE_PTX = 3,   /* text for CUDA's assembler, with a null behind it */
  TROUPE_IMAGE_FATBIN = 4 /* code for one or several CUDA architectures */
};

/* Kernels of this module for a device that cannot call a function of the host. The kernel NAME is the
 * function troupe_kernel_NAME, and takes the address of a troupe_device_block (device_block.h). */
typedef struct troupe_device_image_v1 {
  uint32_t size;
  uint32_t format; /* enum troupe_image_format */
  const void* bytes;
  uint64_t byte_count;
  const char* source; /* the file that it was made from, for people */
} troupe_device_image_v1;

typedef struct troupe_module_v1 {
  uint32_t magic;
  uint32_t version;
  uint32_t size;
  uint32_t callable_size; /* sizeof(troupe_callable_v1) of the module */
  const char* name;
  const troupe_callable_v1* const* begin; /* pointers to descriptors; null entries are skipped */
  const troupe_callable_v1* const* end;
  /* Bytes, one for each place in this binary where a kernel may call `wait`, and at least one: 0 is no such
   * place. Null, or a module that ends before this member: unknown, so every kernel may wait. */
  const uint8_t* waits_begin;
  const uint8_t* waits_end;
  /* Null entries are skipped. A module that ends before this member has none. */
  const troupe_device_image_v1* const* images_begin;
  const troupe_device_image_v1* const* images_end;
} troupe_module_v1;

/* Calls of callers that were built before it end before their member `scalar_kinds`. */
#define TROUPE_SCALAR_KINDS_OF(call) \
  ((call)->size >= offsetof(__typeof__(*(call)), scalar_kinds) + sizeof(void*) ? (call)->scalar_kinds : NULL)

/* Whether a module of this size has a member. */
#define TROUPE_MODULE_HAS(module, member) \
  ((module)->size >= offsetof(troupe_module_v1, member) + sizeof((module)->member))

/* The least size of a module of this version. */
#define TROUPE_MODULE_LEAST_SIZE offsetof(troupe_module_v1, waits_begin)

#ifdef __cplusplus
}
#endif
#endif
