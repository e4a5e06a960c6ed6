#ifndef TROUPE_RUNTIME_DEVICE_BLOCK_H
#define TROUPE_RUNTIME_DEVICE_BLOCK_H

/* One call of a kernel on a device: what the host hands over, and what the kernel leaves for the host. It
 * lies in memory that host and device share. A kernel is a function `troupe_kernel_NAME` that takes the
 * device address of one of these; `device_kernel.hpp` writes such functions. Compiled by host and device
 * compilers (C, C++, C++ for OpenCL, CUDA), so nothing is included and every offset is fixed; host.cpp of the
 * queued platforms checks it against kernel_abi.hpp. */

typedef unsigned int troupe_device_u32;
typedef unsigned long troupe_device_u64; /* 64 bits on every device and on the hosts that troupe runs on */

#define TROUPE_BLOCK_PRODUCERS 12
#define TROUPE_BLOCK_TEXT 128
#define TROUPE_BLOCK_WORDS 50
#define TROUPE_BLOCK_TENSORS 32

/* How a call ended; the first one counts. */
enum troupe_device_verdict {
  TROUPE_VERDICT_NONE = 0,    /* well */
  TROUPE_VERDICT_FAILED = 1,  /* the kernel says why in `text` */
  TROUPE_VERDICT_SKIPPED = 2, /* one that it depends on did not end well: the kernel was not entered */
  TROUPE_VERDICT_ABORTED = 3  /* the kernel was asked to end, and did */
};

/* The bytes of troupe::runtime::TensorDescriptor. */
typedef struct troupe_device_tensor {
  troupe_device_u64 address, size, owner_task, start_offset;
  int version;
  troupe_device_u32 ndims;
  unsigned char dtype, manual_dep, is_contiguous, address_space;
  troupe_device_u32 shapes[5];
  troupe_device_u64 extent;
  troupe_device_u32 strides[5];
  unsigned char reserved[36];
} troupe_device_tensor;

typedef struct troupe_device_block {
  troupe_device_u32 verdict; /* device */
  troupe_device_u32 abort;   /* host: not 0 once the run is to end */
  troupe_device_u32 started; /* device: not 0 once a lane was there */
  troupe_device_u32 tensors, scalars;
  troupe_device_u32 producers; /* calls that have to end well first: */
  troupe_device_u64 producer[TROUPE_BLOCK_PRODUCERS];
  char text[TROUPE_BLOCK_TEXT];
  /* As kernel_entry has them: descriptors first, scalars next, word 48 the local context, 49 the global. */
  long words[TROUPE_BLOCK_WORDS];
  troupe_device_u64 local_context[6], global_context[3];
  troupe_device_u64 reserved[6];
  troupe_device_tensor descriptors[TROUPE_BLOCK_TENSORS];
} troupe_device_block;

#endif
