#include "runs/tensors.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/dtype.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::platform::common {

using runtime::Tensor;

Error bad_argument(std::size_t index, const Run& run, const std::string& what) {
  return Error(Errc::bad_task_arguments,
               "tensor " + std::to_string(index) + " of '" + run.callable->name + "': " + what);
}

Result<Tensor> tensor_of(const troupe_tensor_arg& arg, std::size_t index, const Run& run) {
  if (arg.ndims == 0 || arg.ndims > runtime::limits::max_dims) {
    return bad_argument(index, run, std::to_string(arg.ndims) + " dimensions");
  }
  if (!runtime::is_dtype(arg.dtype))
    return bad_argument(index, run, "unknown dtype " + std::to_string(arg.dtype));
  if (!runtime::is_tag(arg.tag)) return bad_argument(index, run, "unknown tag " + std::to_string(arg.tag));
  if (arg.address_space > TROUPE_SPACE_DEVICE) {
    return bad_argument(index, run, "unknown address space " + std::to_string(arg.address_space));
  }
  if (arg.buffer + arg.buffer_bytes < arg.buffer) return bad_argument(index, run, "its buffer wraps around");
  const auto dtype = static_cast<runtime::DType>(arg.dtype);
  const std::uint64_t element = runtime::size_of(dtype);
  if (arg.start_offset > arg.buffer_bytes / element) {
    return bad_argument(index, run, "it starts behind the end of its buffer");
  }
  std::array<std::uint64_t, runtime::limits::max_dims> shape{}, strides{};
  std::copy_n(arg.shape, arg.ndims, shape.begin());
  std::copy_n(arg.strides, arg.ndims, strides.begin());
  auto tensor = Tensor::create_strided({0, 0, arg.buffer}, arg.buffer_bytes, arg.start_offset * element,
                                       *runtime::Shape::from({shape.data(), arg.ndims}),
                                       *runtime::Shape::from({strides.data(), arg.ndims}), dtype);
  if (!tensor) return bad_argument(index, run, tensor.error().message());
  if (arg.buffer == 0 && !tensor->empty()) return bad_argument(index, run, "its address is null");
  return tensor;
}

std::size_t lay_out(std::vector<HostExtent>& extents) {
  std::sort(extents.begin(), extents.end(),
            [](const HostExtent& a, const HostExtent& b) { return a.begin < b.begin; });
  std::size_t kept = 0;
  for (const HostExtent& extent : extents) {
    if (kept != 0 && extent.begin < extents[kept - 1].end) {
      extents[kept - 1].end = std::max(extents[kept - 1].end, extent.end);
    } else {
      extents[kept++] = extent;
    }
  }
  extents.resize(kept);
  std::size_t total = 0;
  for (HostExtent& extent : extents) {
    // The copy keeps the host's alignment, which kernels may rely on.
    const std::size_t shift = extent.begin % copy_alignment;
    extent.device = total + shift;
    total += round_up(shift + extent.end - extent.begin, copy_alignment);
  }
  return total;
}

const HostExtent& extent_of(const std::vector<HostExtent>& extents, std::uint64_t address) noexcept {
  auto after = std::upper_bound(extents.begin(), extents.end(), address,
                                [](std::uint64_t at, const HostExtent& extent) { return at < extent.begin; });
  return *std::prev(after);
}

Result<void> check_kernel_arguments(const Run& run) {
  if (run.tensors.size() > runtime::limits::core_tensors ||
      run.scalars.size() > runtime::limits::core_scalars) {
    return Error(Errc::bad_task_arguments,
                 "kernel '" + run.callable->name + "' got " + std::to_string(run.tensors.size()) +
                     " tensors and " + std::to_string(run.scalars.size()) + " scalars",
                 "a kernel takes at most 32 tensors and 16 scalars");
  }
  if (run.callable->signature.empty()) return {};
  std::vector<runtime::Tag> tags;
  for (const auto& tensor : run.tensors) tags.push_back(static_cast<runtime::Tag>(tensor.tag));
  const auto wrong = signature_defect(run.callable->signature, tags, run.scalars.size());
  if (wrong.empty()) return {};
  return Error(Errc::bad_task_arguments,
               "the arguments do not fit kernel '" + run.callable->name + "': " + wrong,
               "pass what it was registered with");
}

}  // namespace troupe::platform::common
