#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "tasks/task_record.hpp"
#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::platform::sim {

/// One tensor of a task that comes as a descriptor, the form that kernels see.
struct DescribedTensor {
  const runtime::TensorDescriptor* tensor = nullptr;
  runtime::Tag tag = runtime::Tag::in;       ///< what the kernel does with it
  runtime::Tag ordering = runtime::Tag::in;  ///< as what it takes part in dependencies; `no_dep`: not at all
  bool is_new = false;                       ///< the chip gives it memory, as large as its `size` says
  bool is_filled = false;                    ///< and every element is `initial` before the task runs
  std::uint64_t initial = 0;
};

/// The element that decides, when its turn has come, whether a task runs: a signed integer of its own width.
struct DescribedPredicate {
  DescribedTensor tensor;
  std::uint64_t element = 0;
  std::uint32_t compare = 0;  ///< enum troupe_compare
  std::int64_t value = 0;
};

/// A task as programs give it that know their tensors by address: borrowed for one submit. The new tensors
/// are completed in `outputs`, in the order in which they come: address, size, owner.
struct DescribedTask {
  KernelEntry* lanes[3] = {};  ///< by enum troupe_chip_lane; all null: a task without a kernel
  std::span<const DescribedTensor> tensors;
  std::span<const std::uint64_t> scalars;
  std::span<const std::uint64_t> after;  ///< numbers of tasks
  std::span<const std::uint64_t> kept;   ///< addresses of intermediates that stay until it has ended
  std::span<runtime::TensorDescriptor* const> outputs;
  const DescribedPredicate* predicate = nullptr;
  std::uint32_t blocks = 1;
  bool sync_start = false;
  std::int32_t timing_slot = -1;  ///< which of the run's, -1: none
  /// A bit for each argument that is wanted in a dump, tensors first.
  std::uint64_t dumped = ~std::uint64_t{0};
  const std::uint8_t* scalar_dtypes = nullptr;  ///< one for each scalar there can be; null: none is dumped
};

/// Bytes of an element; 0: no dtype.
constexpr std::uint32_t size_of_element(std::uint8_t dtype) noexcept {
  return static_cast<std::uint32_t>(runtime::size_of(static_cast<runtime::DType>(dtype)));
}

/// Which bytes of the chip a described tensor is.
struct DescribedBytes {
  std::uint64_t first = 0, end = 0;  ///< from the buffer's start, gaps included
  bool is_dense = true;
  std::uint32_t element_bytes = 0;
};

/// Completes a descriptor that somebody else has written, whose strides count only where it says so, and
/// looks where its bytes are. Nothing: it describes no tensor.
[[nodiscard]] std::optional<DescribedBytes> complete(runtime::TensorDescriptor& descriptor) noexcept;

}  // namespace troupe::platform::sim
