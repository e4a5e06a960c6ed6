// What a host says of a graph, before anybody relies on it.
#include "runs/graph.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/dtype.hpp"
#include "troupe/runtime/limits.hpp"
#include "troupe/runtime/shape.hpp"
#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::platform::common {

namespace {

constexpr std::uint64_t most_tasks = std::uint64_t{1} << 24U;
/// Of each list: numbers of 32 bits count them.
constexpr std::uint64_t most_entries = std::uint64_t{1} << 31U;

class GraphCheck {
 public:
  explicit GraphCheck(const troupe_graph& graph) : graph_(graph) {}

  Result<void> check() {
    if (graph_.size < sizeof graph_) return wrong("its size is that of another version");
    if ((graph_.flags & ~static_cast<std::uint32_t>(TROUPE_GRAPH_OVERLAPS_ARE_KNOWN)) != 0)
      return wrong("it has flags that are not known");
    if (graph_.task_count > most_tasks) return wrong("it has " + number(graph_.task_count) + " tasks");
    if (std::max({graph_.tensor_count, graph_.scalar_count, graph_.producer_count}) > most_entries)
      return wrong("one of its lists is too long");
    if (graph_.slot_count > runtime::limits::chip_tensors ||
        graph_.scalar_slot_count > runtime::limits::chip_scalars)
      return wrong("it has " + number(graph_.slot_count) + " tensor slots and " +
                   number(graph_.scalar_slot_count) + " scalar slots");
    if ((graph_.tasks == nullptr && graph_.task_count != 0) ||
        (graph_.tensors == nullptr && graph_.tensor_count != 0) ||
        (graph_.scalars == nullptr && graph_.scalar_count != 0) ||
        (graph_.producers == nullptr && graph_.producer_count != 0) ||
        (graph_.slots == nullptr && graph_.slot_count != 0))
      return wrong("one of its lists is null");
    if (auto sound = check_slots(); !sound) return sound;
    for (std::uint64_t task = 0; task < graph_.task_count; ++task) {
      if (auto sound = check_task(task); !sound) return sound;
    }
    if (tensors_ != graph_.tensor_count || scalars_ != graph_.scalar_count ||
        producers_ != graph_.producer_count)
      return wrong("its tasks leave some entries of its lists");
    return {};
  }

 private:
  static std::string number(std::uint64_t value) { return std::to_string(value); }
  Error wrong(const std::string& what) const {
    const std::string name = graph_.name != nullptr && graph_.name[0] != '\0'
                                 ? "graph '" + std::string(graph_.name) + "': "
                                 : "a graph: ";
    return {Errc::invalid_argument, name + what};
  }
  Error wrong_task(std::uint64_t task, const std::string& what) const {
    return wrong("task " + number(task) + " " + what);
  }

  Result<void> check_slots() {
    for (std::uint32_t i = 0; i < graph_.slot_count; ++i) {
      const auto& slot = graph_.slots[i];
      const auto bytes = extent_of(slot.ndims, slot.shape, slot.strides, slot.dtype);
      if (!bytes) return wrong("slot " + number(i) + ": " + bytes.error().message());
      if (!runtime::is_tag(slot.tag)) return wrong("slot " + number(i) + " has an unknown tag");
      slot_bytes_.push_back(*bytes);
    }
    return {};
  }

  /// Bytes from the first element to the end of the last.
  static Result<std::uint64_t> extent_of(std::uint32_t ndims, const std::uint32_t* shape,
                                         const std::uint32_t* strides, std::uint8_t dtype) {
    const auto no = [](const char* what) { return Error(Errc::invalid_argument, what); };
    if (ndims == 0 || ndims > runtime::limits::max_dims) return no("it has no such number of dimensions");
    if (!runtime::is_dtype(dtype)) return no("its element type is unknown");
    const std::uint64_t element = runtime::size_of(static_cast<runtime::DType>(dtype));
    std::uint64_t last = 0;
    bool empty = false;
    for (std::uint32_t d = 0; d < ndims; ++d) {
      empty = empty || shape[d] == 0;
      // Five products of two 32-bit numbers may wrap around.
      if (shape[d] != 0 && __builtin_add_overflow(last, (shape[d] - std::uint64_t{1}) * strides[d], &last))
        return no("it is too large");
    }
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(last + 1, element, &bytes) || last + 1 == 0) return no("it is too large");
    return empty ? 0 : bytes;
  }

  Result<void> check_task(std::uint64_t number_of) {
    const auto& task = graph_.tasks[number_of];
    if (task.tensor_count > runtime::limits::core_tensors ||
        task.scalar_count > runtime::limits::core_scalars)
      return wrong_task(number_of, "has " + number(task.tensor_count) + " tensors and " +
                                       number(task.scalar_count) + " scalars");
    if ((task.flags & ~static_cast<std::uint32_t>(TROUPE_RUN_SYNC_START)) != 0)
      return wrong_task(number_of, "has flags that no task of a graph has");
    if (task.tensor_count > graph_.tensor_count - tensors_ ||
        task.scalar_count > graph_.scalar_count - scalars_ ||
        task.producer_count > graph_.producer_count - producers_)
      return wrong_task(number_of, "has more entries than the lists");
    for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
      if (auto sound = check_view(number_of, i, graph_.tensors[tensors_ + i]); !sound) return sound;
    }
    for (std::uint32_t i = 0; i < task.scalar_count; ++i) {
      const auto& scalar = graph_.scalars[scalars_ + i];
      if (scalar.slot != TROUPE_GRAPH_NO_SLOT && scalar.slot >= graph_.scalar_slot_count)
        return wrong_task(number_of, "uses scalar slot " + number(scalar.slot) + ", which is none");
    }
    for (std::uint32_t i = 0; i < task.producer_count; ++i) {
      if (graph_.producers[producers_ + i] >= number_of)
        return wrong_task(number_of, "waits for task " + number(graph_.producers[producers_ + i]) +
                                         ", which does not come before it");
    }
    tensors_ += task.tensor_count;
    scalars_ += task.scalar_count;
    producers_ += task.producer_count;
    return {};
  }

  Result<void> check_view(std::uint64_t task, std::uint32_t index, const troupe_graph_tensor& view) const {
    const std::string which = "tensor " + number(index);
    if (view.slot >= graph_.slot_count)
      return wrong_task(task, "sees slot " + number(view.slot) + " as " + which + ", which is none");
    const auto bytes = extent_of(view.ndims, view.shape, view.strides, view.dtype);
    if (!bytes) return wrong_task(task, "has " + which + ": " + bytes.error().message());
    const std::uint64_t room = slot_bytes_[view.slot];
    if (*bytes != 0 && (view.offset > room || *bytes > room - view.offset))
      return wrong_task(task, "sees as " + which + " what lies outside of slot " + number(view.slot));
    if (view.offset % runtime::size_of(static_cast<runtime::DType>(view.dtype)) != 0)
      return wrong_task(task, "has " + which + " between two elements");
    if (!runtime::is_tag(view.tag)) return wrong_task(task, "has " + which + " with an unknown tag");
    if (runtime::writes(static_cast<runtime::Tag>(view.tag)) &&
        !runtime::writes(static_cast<runtime::Tag>(graph_.slots[view.slot].tag)))
      return wrong_task(task, "writes slot " + number(view.slot) + ", which is only read");
    return {};
  }

  const troupe_graph& graph_;
  std::vector<std::uint64_t> slot_bytes_;
  std::uint64_t tensors_ = 0, scalars_ = 0, producers_ = 0;
};

}  // namespace

Result<void> check_graph(const troupe_graph& graph) { return GraphCheck(graph).check(); }

}  // namespace troupe::platform::common
