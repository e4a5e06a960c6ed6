#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runs/run.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::platform::common {

/// Tensor argument `index` of a run, as it was launched: its buffer's offset is its address. The error names
/// the argument.
Result<runtime::Tensor> tensor_of(const troupe_tensor_arg& arg, std::size_t index, const Run& run);
Error bad_argument(std::size_t index, const Run& run, const std::string& what);

/// The address of a tensor's first element.
inline std::uint64_t first_byte(const runtime::Tensor& tensor) noexcept {
  return tensor.buffer().offset + tensor.byte_offset();
}

/// Calls `visit(offset, size)` for each gap-free stretch of a view, in bytes from its first element.
template <class Visit>
void for_each_stretch(const runtime::Tensor& view, Visit visit) {
  const std::size_t element = view.element_bytes();
  std::size_t outer = view.dims();
  std::uint64_t run = 1;  // elements without a gap
  while (outer > 0 && (view.extent(outer - 1) == 1 || view.stride(outer - 1) == run)) {
    run *= view.extent(outer - 1);
    --outer;
  }
  std::array<std::uint32_t, runtime::limits::max_dims> index{};
  for (;;) {
    std::uint64_t offset = 0;
    for (std::size_t dim = 0; dim < outer; ++dim) offset += std::uint64_t{index[dim]} * view.stride(dim);
    visit(offset * element, run * element);
    std::size_t dim = outer;
    while (dim > 0 && ++index[dim - 1] == view.extent(dim - 1)) index[--dim] = 0;
    if (dim == 0) return;
  }
}

/// The copy of an argument lies in such a unit as the host's bytes lie in theirs.
inline constexpr std::size_t copy_alignment = 64;

/// Bytes [begin, end) of the host that arguments of a run lie in, and where their copy begins on the chip.
struct HostExtent {
  std::uint64_t begin, end;
  std::uint64_t device;
};
/// Joins those that overlap, in order of their addresses, and puts their copies one behind the other from 0
/// on, each as aligned as on the host. Answers how many bytes the copies take.
std::size_t lay_out(std::vector<HostExtent>& extents);
/// The one that holds `address`; there is one.
const HostExtent& extent_of(const std::vector<HostExtent>& extents, std::uint64_t address) noexcept;

/// Whether a kernel may be called with the arguments of this run: their number, and its signature.
Result<void> check_kernel_arguments(const Run& run);

}  // namespace troupe::platform::common
