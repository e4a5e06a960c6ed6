#include "orchestration/writers.hpp"

#include <algorithm>
#include <utility>

#include "tasks/tasks.hpp"

namespace troupe::platform::sim {

using object_abi::Tensor;

Writers::Entry Writers::entry_of(const Tensor& tensor, bool reads_too, std::uint64_t task) noexcept {
  Entry entry;
  entry.address = tensor.address;
  entry.start = tensor.start_offset;
  entry.task = task;
  entry.ndims = tensor.ndims;
  entry.dtype = tensor.dtype;
  entry.is_contiguous = tensor.is_contiguous;
  entry.reads_too = reads_too;
  std::copy(std::begin(tensor.shapes), std::end(tensor.shapes), std::begin(entry.shapes));
  std::copy(std::begin(tensor.strides), std::end(tensor.strides), std::begin(entry.strides));
  return entry;
}

runtime::Box Writers::box_of(const Entry& entry) noexcept {
  Tensor tensor{};
  tensor.address = entry.address;
  tensor.start_offset = entry.start;
  tensor.ndims = entry.ndims;
  tensor.dtype = entry.dtype;
  tensor.is_contiguous = entry.is_contiguous;
  std::copy(std::begin(entry.shapes), std::end(entry.shapes), std::begin(tensor.shapes));
  std::copy(std::begin(entry.strides), std::end(entry.strides), std::begin(tensor.strides));
  const auto bytes = complete(tensor);
  if (!bytes || tensor.extent == 0) return {};
  std::uint64_t strides[runtime::limits::max_dims];
  for (std::uint32_t dim = 0; dim < tensor.ndims; ++dim)
    strides[dim] = std::uint64_t{tensor.strides[dim]} * bytes->element_bytes;
  return runtime::make_box(bytes->first, {tensor.shapes, tensor.ndims}, {strides, tensor.ndims},
                           bytes->element_bytes);
}

bool Writers::add(const Tensor& tensor, bool reads_too, std::uint64_t task) {
  if (order_.empty() && entries_.size() < most) {
    entries_.push_back(entry_of(tensor, reads_too, task));
    return true;
  }
  for (const Entry& entry : std::exchange(entries_, {})) know(entry);
  know(entry_of(tensor, reads_too, task));
  return known_.size() <= most;
}

void Writers::know(const Entry& entry) {
  const auto box = box_of(entry);
  if (entry.reads_too) {
    auto it = known_.lower_bound({entry.address, box.lo, 0});
    while (it != known_.end() && std::get<0>(it->first) == entry.address && std::get<1>(it->first) < box.hi)
      it = runtime::covers(box, it->second.box) ? known_.erase(it) : std::next(it);
  }
  const Key key{entry.address, box.lo, order_.size()};
  known_.emplace(key, Known{box, entry.task});
  order_.push_back(key);
}

void Writers::forget(std::size_t mark) {
  if (order_.empty()) return entries_.resize(std::min(mark, entries_.size()));
  for (std::size_t i = mark; i < order_.size(); ++i) known_.erase(order_[i]);
  order_.resize(std::min(mark, order_.size()));
}

void Writers::add_producers(const Tensor& tensor, std::vector<std::uint64_t>& producers) const {
  const auto box = box_of(entry_of(tensor, false, 0));
  for (const Entry& entry : entries_) {
    if (entry.address == tensor.address && runtime::overlaps(box_of(entry), box))
      producers.push_back(entry.task);
  }
  for (auto it = known_.lower_bound({tensor.address, 0, 0});
       it != known_.end() && std::get<0>(it->first) == tensor.address; ++it) {
    if (runtime::overlaps(it->second.box, box)) producers.push_back(it->second.task);
  }
}

}  // namespace troupe::platform::sim
