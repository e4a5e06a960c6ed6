#include "runs/graph_slots.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace troupe::platform::common {

using runtime::Tensor;

namespace {

bool same_layout(const Tensor& a, const Tensor& b) noexcept {
  if (a.dtype() != b.dtype() || a.dims() != b.dims()) return false;
  for (std::size_t dim = 0; dim < a.dims(); ++dim) {
    if (a.extent(dim) != b.extent(dim) || a.stride(dim) != b.stride(dim)) return false;
  }
  return true;
}

}  // namespace

GraphSlots::GraphSlots(std::vector<Slot> tensors, std::vector<std::uint8_t> kinds, bool overlaps_matter)
    : tensors_(std::move(tensors)), kinds_(std::move(kinds)), overlaps_matter_(overlaps_matter) {
  if (overlaps_matter_) overlaps_ = overlaps_of(tensors_);
}

// Those that begin inside of another one, by where they begin: mostly there are none.
GraphSlots::Overlaps GraphSlots::overlaps_of(std::span<const Slot> tensors) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].tensor.empty()) order.push_back(i);
  }
  const auto place = [&](std::uint32_t i) {
    const auto& tensor = tensors[i].tensor;
    return std::tuple(memory_of(tensor.buffer()), first_byte_of(tensor), i);
  };
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return place(a) < place(b); });
  Overlaps found;
  std::vector<std::uint32_t> open;
  for (const auto i : order) {
    const auto& tensor = tensors[i].tensor;
    const auto memory = memory_of(tensor.buffer());
    const auto first = first_byte_of(tensor);
    std::erase_if(open, [&](std::uint32_t other) {
      const auto& it = tensors[other].tensor;
      return memory_of(it.buffer()) != memory || first_byte_of(it) + it.byte_extent() <= first;
    });
    for (const auto other : open) {
      const auto& it = tensors[other].tensor;
      const bool written = runtime::writes(tensors[i].tag) || runtime::writes(tensors[other].tag);
      // Of one buffer it is known exactly; views with gaps may lie in each other's.
      if (it.buffer() == tensor.buffer() &&
          !runtime::overlaps(runtime::make_box(it), runtime::make_box(tensor)))
        continue;
      const auto distance = static_cast<std::int64_t>(first - first_byte_of(it));
      (written ? found.written : found.read)
          .push_back(i < other ? Overlap{i, other, -distance} : Overlap{other, i, distance});
    }
    open.push_back(i);
  }
  std::sort(found.written.begin(), found.written.end());
  std::sort(found.read.begin(), found.read.end());
  return found;
}

std::optional<std::string> GraphSlots::defect(std::span<const Slot> tensors,
                                              std::span<const std::uint8_t> kinds) const {
  if (tensors.size() != tensors_.size() || kinds.size() != kinds_.size()) {
    return "it takes " + std::to_string(tensors_.size()) + " tensors and " + std::to_string(kinds_.size()) +
           " scalars, and is given " + std::to_string(tensors.size()) + " and " +
           std::to_string(kinds.size());
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto &given = tensors[i], &wanted = tensors_[i];
    if (!same_layout(given.tensor, wanted.tensor)) {
      return "its tensor " + std::to_string(i) + " was " + to_string(wanted.tensor) + ", and is " +
             to_string(given.tensor);
    }
    if (given.tag != wanted.tag) {
      return "its tensor " + std::to_string(i) + " was given as " +
             std::string(runtime::name_of(wanted.tag)) + ", and is given as " +
             std::string(runtime::name_of(given.tag));
    }
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i] != kinds_[i]) return "its scalar " + std::to_string(i) + " has another type than before";
  }
  if (!overlaps_matter_) return std::nullopt;
  const auto overlaps = overlaps_of(tensors).written;
  if (overlaps == overlaps_.written) return std::nullopt;
  std::vector<Overlap> differing;
  std::set_symmetric_difference(overlaps.begin(), overlaps.end(), overlaps_.written.begin(),
                                overlaps_.written.end(), std::back_inserter(differing));
  return "its tensors " + std::to_string(differing.front().first) + " and " +
         std::to_string(differing.front().second) + " share bytes in another way than before";
}

}  // namespace troupe::platform::common
