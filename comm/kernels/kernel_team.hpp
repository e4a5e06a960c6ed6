#pragma once

// The collectives as a kernel sees them: tensors and a CommContext in, signals through the core's own
// wait_until and notify. Only the runtime floor is needed; the algorithms are those of the host calls.

#include <string>

#include "collective/call.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/kernel.hpp"

namespace troupe::comm::kernels {

using collective::Call;
using collective::DType;
using runtime::CommContext;
using runtime::KernelArgs;

/// Ends the kernel with this text. The codes' names are written out: the comm library is not linked here.
[[noreturn]] inline void refuse(const std::string& text, const std::string& hint = {}) {
  throw Error(ErrorCode{static_cast<std::int32_t>(Errc::bad_argument), "bad_argument"}, text, hint);
}

/// A tensor argument without gaps: its first byte and how many elements there are.
struct Array {
  std::byte* data = nullptr;
  std::size_t count = 0;
  DType dtype = DType::u8;

  std::size_t bytes() const noexcept { return count * runtime::size_of(dtype); }
};

inline Array array(const KernelArgs& args, std::size_t index) {
  const runtime::TensorDescriptor& tensor = args.descriptor(index);
  const std::string name = "tensor argument " + std::to_string(index);
  if (!runtime::is_dtype(tensor.dtype)) refuse(name + " has no known element type");
  if (tensor.is_contiguous == 0) refuse(name + " has gaps; collectives need whole arrays");
  Array result;
  result.dtype = static_cast<DType>(tensor.dtype);
  result.data = reinterpret_cast<std::byte*>(
      static_cast<std::uintptr_t>(tensor.address + tensor.start_offset * runtime::size_of(result.dtype)));
  result.count = 1;
  for (std::size_t dim = 0; dim < tensor.ndims && dim < runtime::limits::max_dims; ++dim) {
    result.count *= tensor.shapes[dim];
  }
  return result;
}

/// Scalar 0 of every collective kernel.
inline const CommContext& context(const KernelArgs& args) {
  if (args.scalar_count() == 0) refuse("the first scalar must be the rank's communication context");
  const auto* found = reinterpret_cast<const CommContext*>(args.scalar<std::uint64_t>(0));
  if (found == nullptr) refuse("the communication context is null");
  if (found->rank_count == 0 || found->rank_count > collective::max_team ||
      found->rank >= found->rank_count) {
    refuse("the first scalar is no communication context: rank " + std::to_string(found->rank) + " of " +
           std::to_string(found->rank_count));
  }
  if (args.block_num() != 1) {
    refuse("a collective kernel runs as one block per rank, not as " + std::to_string(args.block_num()));
  }
  return *found;
}

/// Optional scalar `index`.
inline std::uint64_t scalar_or(const KernelArgs& args, std::size_t index, std::uint64_t fallback) {
  return index < args.scalar_count() ? args.scalar<std::uint64_t>(index) : fallback;
}

class KernelSignals {
 public:
  KernelSignals(KernelArgs& args, const CommContext& context) noexcept : args_(args), context_(context) {}

  int notify(std::uint32_t rank, std::uint64_t offset, std::uint64_t value) noexcept {
    args_.notify(word(rank, offset), value);
    return collective::ok;
  }
  int wait_at_least(std::uint64_t offset, std::uint64_t value) noexcept {
    return static_cast<int>(
        args_.wait_until(word(context_.rank, offset), runtime::Compare::greater_equal, value));
  }

 private:
  std::uint64_t& word(std::uint32_t rank, std::uint64_t offset) const noexcept {
    return *reinterpret_cast<std::uint64_t*>(context_.windows_in[rank] + offset);
  }

  KernelArgs& args_;
  const CommContext& context_;
};

inline bool in_window(const CommContext& context, const std::byte* data, std::size_t bytes) noexcept {
  const std::uint64_t offset = reinterpret_cast<std::uint64_t>(data) - context.windows_in[context.rank];
  return offset <= context.window_size && bytes <= context.window_size - offset;
}

/// Runs the call of this rank; `arrays` are those that decide whether it is staged. A wait that ends because
/// the run is given up or a peer is lost ends the kernel quietly: the core already knows how.
void perform(KernelArgs& args, Call call, const Array& workspace, std::initializer_list<Array> arrays);

}  // namespace troupe::comm::kernels
