#include "runs/staging.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::common {

namespace {

using runtime::Tensor;

constexpr std::size_t smallest_pool = std::size_t{1} << 16;
constexpr std::size_t largest_pool = std::size_t{64} << 20;
constexpr std::size_t copy_alignment = 64;
constexpr int poison_byte = 0xFF;  // a NaN in every float type

std::uint64_t first_byte(const Tensor& tensor) noexcept {
  return tensor.buffer().offset + tensor.byte_offset();
}

/// Calls `visit(offset, size)` for each gap-free stretch of a view, in bytes from its first element.
template <class Visit>
void for_each_stretch(const Tensor& view, Visit visit) {
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

}  // namespace

Result<void> Staging::look_at(const Run& run) {
  host_.clear();
  tags_.clear();
  resident_.clear();
  extents_.clear();
  for (std::size_t i = 0; i < run.tensors.size(); ++i) {
    const auto& arg = run.tensors[i];
    auto tensor = tensor_of(arg, i, run);
    if (!tensor) return tensor.error();
    host_.push_back(*tensor);
    tags_.push_back(static_cast<runtime::Tag>(arg.tag));
    resident_.push_back(arg.address_space == TROUPE_SPACE_DEVICE);
    if (tensor->empty()) continue;
    if (resident_.back()) {
      auto inside = memory_.check(arg.buffer, arg.buffer_bytes,
                                  "tensor " + std::to_string(i) + " of '" + run.callable->name + "'");
      if (!inside) return inside;
    } else {
      const std::uint64_t begin = first_byte(*tensor);
      extents_.push_back({begin, begin + tensor->byte_extent(), 0});
    }
  }
  return {};
}

Result<void> Staging::place() {
  std::sort(extents_.begin(), extents_.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  std::size_t kept = 0;
  for (const Extent& extent : extents_) {
    if (kept != 0 && extent.begin < extents_[kept - 1].end) {
      extents_[kept - 1].end = std::max(extents_[kept - 1].end, extent.end);
    } else {
      extents_[kept++] = extent;
    }
  }
  extents_.resize(kept);
  std::size_t total = 0;
  for (Extent& extent : extents_) {
    // The copy keeps the host's alignment, which kernels may rely on.
    const std::size_t shift = extent.begin % copy_alignment;
    extent.device = total + shift;
    total += round_up(shift + extent.end - extent.begin, copy_alignment);
  }
  if (checked_ || total > largest_pool) {
    // Together: none of them is used before all are there, so one by one each would find room.
    if (auto room = DeviceMemory::host_has(total, "copies of arguments"); !room) return room.error();
    for (Extent& extent : extents_) {
      auto address = memory_.allocate_internal(extent.end - extent.begin, "copy of an argument",
                                               {.shift = extent.begin % copy_alignment, .room = 0});
      if (!address) return address.error();
      pieces_.push_back(*address);
      extent.device = *address;
    }
    return {};
  }
  if (total > pool_size_) {
    release();
    const std::size_t size = std::max(smallest_pool, round_up(total * 2, page_size));
    auto address = memory_.allocate_internal(size, "copies of arguments");
    if (!address) return address.error();
    pool_ = *address;
    pool_size_ = size;
  }
  for (Extent& extent : extents_) extent.device += pool_;
  return {};
}

const Staging::Extent& Staging::extent_of(std::uint64_t address) const noexcept {
  auto after = std::upper_bound(extents_.begin(), extents_.end(), address,
                                [](std::uint64_t at, const Extent& extent) { return at < extent.begin; });
  return *std::prev(after);
}

// Nothing of a run lies there, neither read nor written.
void Staging::guard_gaps() {
  std::vector<GuardZone> used;
  for (std::size_t i = 0; i < host_.size(); ++i) {
    if (resident_[i] || host_[i].empty()) continue;
    const std::uint64_t first = first_byte(device_[i]);
    for_each_stretch(host_[i], [&](std::uint64_t offset, std::uint64_t size) {
      used.push_back({first + offset, first + offset + size});
    });
  }
  std::sort(used.begin(), used.end(),
            [](const GuardZone& a, const GuardZone& b) { return a.begin < b.begin; });
  for (const Extent& extent : extents_) {
    const std::uint64_t end = extent.device + (extent.end - extent.begin);
    std::vector<GuardZone> gaps;
    std::uint64_t at = extent.device;
    auto next =
        std::lower_bound(used.begin(), used.end(), at,
                         [](const GuardZone& stretch, std::uint64_t begin) { return stretch.begin < begin; });
    for (; next != used.end() && next->begin < end; ++next) {
      if (next->begin > at) gaps.push_back({at, next->begin});
      at = std::max(at, next->end);
    }
    if (!gaps.empty()) memory_.set_gaps(extent.device, std::move(gaps));
  }
}

Result<void> Staging::copy_in(const Run& run) {
  if (auto seen = look_at(run); !seen) return seen;
  if (auto placed = place(); !placed) return placed;
  device_.clear();
  for (std::size_t i = 0; i < host_.size(); ++i) {
    const Tensor& host = host_[i];
    if (resident_[i] || host.empty()) {
      device_.push_back(host);
      continue;
    }
    const Extent& extent = extent_of(first_byte(host));
    const std::uint64_t at = extent.device + (first_byte(host) - extent.begin);
    auto tensor = Tensor::create_strided({0, 0, extent.device}, extent.end - extent.begin, at - extent.device,
                                         host.shape(), host.strides(), host.dtype());
    if (!tensor) return bad_argument(i, run, tensor.error().message());
    device_.push_back(*tensor);
    if (checked_ && tags_[i] == runtime::Tag::out) {
      for_each_stretch(host, [&](std::uint64_t offset, std::uint64_t size) {
        std::memset(pointer(at + offset), poison_byte, size);
      });
    }
  }
  if (checked_) guard_gaps();
  // After all poisoning, so that an alias that is read keeps its contents.
  for (std::size_t i = 0; i < host_.size(); ++i) {
    if (resident_[i] || host_[i].empty() || tags_[i] == runtime::Tag::out) continue;
    for_each_stretch(host_[i], [&](std::uint64_t offset, std::uint64_t size) {
      std::memcpy(pointer(first_byte(device_[i]) + offset), pointer(first_byte(host_[i]) + offset), size);
    });
  }
  return {};
}

void Staging::copy_back() noexcept {
  for (std::size_t i = 0; i < host_.size(); ++i) {
    if (resident_[i] || host_[i].empty() || !runtime::writes(tags_[i])) continue;
    for_each_stretch(host_[i], [&](std::uint64_t offset, std::uint64_t size) {
      std::memcpy(pointer(first_byte(host_[i]) + offset), pointer(first_byte(device_[i]) + offset), size);
    });
  }
}

void Staging::finish() noexcept {
  for (const std::uint64_t piece : pieces_) memory_.release_internal(piece);
  pieces_.clear();
}

void Staging::release() noexcept {
  finish();
  if (pool_ != 0) memory_.release_internal(pool_);
  pool_ = 0;
  pool_size_ = 0;
}

}  // namespace troupe::platform::common
