#include "runs/staging.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "memory/memory.hpp"
#include "runs/tensors.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

namespace {

using runtime::Tensor;

constexpr std::size_t smallest_pool = std::size_t{1} << 16;
constexpr std::size_t largest_pool = std::size_t{64} << 20;
constexpr int poison_byte = 0xFF;  // a NaN in every float type

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
      if (memory_.has(arg.buffer, arg.buffer_bytes)) continue;
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
  const std::size_t total = lay_out(extents_);
  if (checked_ || total > largest_pool) {
    // Together: none of them is used before all are there, so one by one each would find room.
    if (auto room = DeviceMemory::host_has(total, "copies of arguments"); !room) return room.error();
    for (HostExtent& extent : extents_) {
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
  for (HostExtent& extent : extents_) extent.device += pool_;
  return {};
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
  for (const HostExtent& extent : extents_) {
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
    const HostExtent& extent = extent_of(extents_, first_byte(host));
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
