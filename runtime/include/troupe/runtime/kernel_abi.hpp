#pragma once

// The bytes that kernels see. A kernel is `void kernel_entry(int64_t* words)` with 50 words: the addresses of
// the tensor descriptors first, the scalars next, word 48 the LocalContext, word 49 the GlobalContext.
// Foreign kernels are compiled against these layouts: every offset is checked below, none may change. Plain
// structs that own nothing; the functions are pure and safe on any thread. Descriptors, contexts and words
// must outlive the kernel call that they are made for.
// Errors: see kernel_words() and tensor_from().

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "troupe/runtime/dtype.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/limits.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::runtime {

enum class AddressSpace : std::uint8_t { host = 0, device = 1 };

/// No task made this tensor.
inline constexpr std::uint64_t no_owner = ~std::uint64_t{0};

/// A tensor as a kernel sees it: `address` is the buffer's, element (i, j, …) lies at
/// `(T*)address + start_offset + i * strides[0] + j * strides[1] + …`.
struct alignas(limits::descriptor_alignment) TensorDescriptor {
  std::uint64_t address = 0;            ///< of the buffer, not of the first element
  std::uint64_t size = 0;               ///< bytes of the buffer
  std::uint64_t owner_task = no_owner;  ///< the on-chip task that the buffer was allocated for
  std::uint64_t start_offset = 0;       ///< of the first element, in elements
  std::int32_t version = 0;
  std::uint32_t ndims = 0;
  std::uint8_t dtype = 0;
  std::uint8_t manual_dep = 0;     ///< 1: takes no part in dependency inference
  std::uint8_t is_contiguous = 0;  ///< 1: row-major without gaps
  std::uint8_t address_space = 0;  ///< an AddressSpace
  std::uint32_t shapes[limits::max_dims] = {};
  std::uint64_t extent = 0;  ///< elements from the first to one past the last, gaps included
  std::uint32_t strides[limits::max_dims] = {};
  std::uint8_t reserved[36] = {};
};

static_assert(sizeof(TensorDescriptor) == 128 && alignof(TensorDescriptor) == 64);
static_assert(std::is_trivially_copyable_v<TensorDescriptor> && std::is_standard_layout_v<TensorDescriptor>);
static_assert(offsetof(TensorDescriptor, address) == 0 && offsetof(TensorDescriptor, size) == 8);
static_assert(offsetof(TensorDescriptor, owner_task) == 16 && offsetof(TensorDescriptor, start_offset) == 24);
static_assert(offsetof(TensorDescriptor, version) == 32 && offsetof(TensorDescriptor, ndims) == 36);
static_assert(offsetof(TensorDescriptor, dtype) == 40 && offsetof(TensorDescriptor, manual_dep) == 41);
static_assert(offsetof(TensorDescriptor, is_contiguous) == 42 &&
              offsetof(TensorDescriptor, address_space) == 43);
static_assert(offsetof(TensorDescriptor, shapes) == 44 && offsetof(TensorDescriptor, extent) == 64);
static_assert(offsetof(TensorDescriptor, strides) == 72);

/// Something that a kernel started and that ends after it has returned: its task has ended when this has,
/// too.
struct DeferredCompletion {
  enum Type : std::int32_t {
    counter = 0,       ///< the u32 at `address` is at least `expected`
    event_record = 1,  ///< the u64 at `address` is at least `cookie`
    event_handle = 2,  ///< `cookie` names an event of a remote memory engine
  };
  static constexpr std::uint32_t engines =
      4;  ///< the engine that was asked: system DMA, RoCE, URMA, collectives

  std::uint64_t address = 0;
  std::uint64_t cookie = 0;
  std::uint32_t expected = 0;
  std::uint32_t engine = 0;
  std::int32_t type = counter;
  std::uint32_t padding = 0;
};
static_assert(sizeof(DeferredCompletion) == 32);
static_assert(offsetof(DeferredCompletion, cookie) == 8 && offsetof(DeferredCompletion, expected) == 16);
static_assert(offsetof(DeferredCompletion, engine) == 20 && offsetof(DeferredCompletion, type) == 24);

/// The list of things that a kernel call has started: their number, each of them, and an error code.
struct alignas(limits::descriptor_alignment) DeferredCompletions {
  std::uint32_t count = 0;
  std::int32_t error_code = 0;
  DeferredCompletion entries[limits::deferred_completions] = {};
};
static_assert(sizeof(DeferredCompletions) == 2112 && alignof(DeferredCompletions) == 64);
static_assert(offsetof(DeferredCompletions, error_code) == 4 && offsetof(DeferredCompletions, entries) == 8);

/// The way from a kernel to its DeferredCompletions; all zero where nothing can be deferred.
struct AsyncContext {
  std::uint32_t* completion_count = nullptr;
  std::int32_t* error_code = nullptr;
  DeferredCompletion* entries = nullptr;
  std::uint32_t capacity = 0;
  std::uint32_t padding = 0;
  std::uint64_t task_token = 0;  ///< the task's number
};
static_assert(sizeof(AsyncContext) == 40 && offsetof(AsyncContext, error_code) == 8);
static_assert(offsetof(AsyncContext, entries) == 16 && offsetof(AsyncContext, capacity) == 24);
static_assert(offsetof(AsyncContext, task_token) == 32);

/// Which block of its task this kernel call is.
struct LocalContext {
  std::int32_t block_idx = 0;
  std::int32_t block_num = 1;
  AsyncContext async = {};
};
static_assert(sizeof(LocalContext) == 48 && offsetof(LocalContext, block_num) == 4);
static_assert(offsetof(LocalContext, async) == 8);

/// Which vector core of its cluster: 0 for AIC and AIV0, 1 for AIV1. No simulated chip has DMA engines that a
/// kernel could drive, so their workspaces are 0.
struct GlobalContext {
  std::int32_t sub_block_id = 0;
  std::uint32_t padding = 0;
  std::uint64_t dma_workspace[2] = {};  ///< system DMA, URMA
};
static_assert(sizeof(GlobalContext) == 24 && offsetof(GlobalContext, dma_workspace) == 8);

/// The argument words of one kernel call. Uninitialised words are zero.
struct KernelWords {
  std::int64_t words[limits::kernel_words] = {};
};
static_assert(sizeof(KernelWords) == 400);

/// The descriptor of a tensor whose buffer turned out to lie at `buffer_address`.
[[nodiscard]] TROUPE_API TensorDescriptor describe(const Tensor& tensor, std::uint64_t buffer_address,
                                                   AddressSpace space, Tag tag = Tag::in,
                                                   std::uint64_t owner_task = no_owner) noexcept;

/// Back from a descriptor (a foreign caller's, so checked): a tensor whose buffer is {arena, generation,
/// address}.
[[nodiscard]] TROUPE_API Result<Tensor> tensor_from(const TensorDescriptor& descriptor,
                                                    std::uint32_t arena = 0, std::uint32_t generation = 0);

/// Fills the words of one kernel call. `descriptors` and the contexts must outlive the call.
/// `too_many_tensors` or `too_many_scalars` when they do not fit.
[[nodiscard]] TROUPE_API Result<KernelWords> kernel_words(std::span<const TensorDescriptor> descriptors,
                                                          std::span<const std::uint64_t> scalars,
                                                          const LocalContext& local,
                                                          const GlobalContext& global);

}  // namespace troupe::runtime
