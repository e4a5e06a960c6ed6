#include "engine/host_tensors.hpp"

#include <bit>
#include <string>
#include <utility>

namespace troupe::platform::queued {

namespace {
constexpr std::size_t smallest_piece = 4096;
constexpr std::size_t most_kept = std::size_t{256} << 20;
}  // namespace

CopyRoom::~CopyRoom() {
  for (const auto& [size, address] : free_) memory_.release_internal(address);
}

Result<CopyRoom::Piece> CopyRoom::take(std::size_t bytes) {
  const std::size_t size = std::bit_ceil(std::max(bytes, smallest_piece));
  if (auto found = free_.lower_bound(size); found != free_.end() && found->first == size) {
    const Piece piece{found->second, size};
    free_.erase(found);
    kept_ -= size;
    return piece;
  }
  auto address = memory_.allocate_internal(size, "copies of arguments");
  if (!address) return address.error();
  return Piece{*address, size};
}

void CopyRoom::give_back(Piece piece) noexcept {
  if (kept_ + piece.size > most_kept) return memory_.release_internal(piece.address);
  free_.emplace(piece.size, piece.address);
  kept_ += piece.size;
}

void HostTensors::add_copies(const runtime::Tensor& host, const runtime::Tensor& device, runtime::Tag tag) {
  for_each_stretch(host, [&](std::uint64_t offset, std::uint64_t size) {
    const std::uint64_t on_host = first_byte(host) + offset, there = first_byte(device) + offset;
    if (tag != runtime::Tag::out) inputs_.push_back({Copy::Way::to_device, there, on_host, size});
    if (runtime::writes(tag)) outputs_.push_back({Copy::Way::from_device, on_host, there, size});
  });
}

Result<void> HostTensors::place(const Run& run, const DeviceMemory& memory, CopyRoom& room) {
  device_.clear();
  inputs_.clear();
  outputs_.clear();
  std::vector<HostExtent> extents;
  for (std::size_t i = 0; i < run.tensors.size(); ++i) {
    const auto& arg = run.tensors[i];
    auto tensor = tensor_of(arg, i, run);
    if (!tensor) return tensor.error();
    device_.push_back(*tensor);
    if (tensor->empty()) continue;
    if (arg.address_space == TROUPE_SPACE_DEVICE) {
      auto inside = memory.check(arg.buffer, arg.buffer_bytes,
                                 "tensor " + std::to_string(i) + " of '" + run.callable->name + "'");
      if (!inside) return inside;
    } else {
      const std::uint64_t begin = first_byte(*tensor);
      extents.push_back({begin, begin + tensor->byte_extent(), 0});
    }
  }
  if (extents.empty()) return {};
  auto piece = room.take(lay_out(extents));
  if (!piece) return piece.error();
  piece_ = *piece;
  for (std::size_t i = 0; i < device_.size(); ++i) {
    if (run.tensors[i].address_space == TROUPE_SPACE_DEVICE || device_[i].empty()) continue;
    const runtime::Tensor host = device_[i];
    const HostExtent& extent = extent_of(extents, first_byte(host));
    const std::uint64_t base = piece_.address + extent.device;
    auto tensor = runtime::Tensor::create_strided({0, 0, base}, extent.end - extent.begin,
                                                  first_byte(host) - extent.begin, host.shape(),
                                                  host.strides(), host.dtype());
    if (!tensor) return bad_argument(i, run, tensor.error().message());
    device_[i] = *tensor;
    add_copies(host, device_[i], static_cast<runtime::Tag>(run.tensors[i].tag));
  }
  return {};
}

void HostTensors::leave(CopyRoom& room) noexcept {
  if (piece_.size != 0) room.give_back(std::exchange(piece_, {}));
}

}  // namespace troupe::platform::queued
