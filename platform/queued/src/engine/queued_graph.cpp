#include "engine/queued_graph.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <utility>

#include "runs/runs.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform::queued {

namespace {

using runtime::Tensor;

/// Ends of launches until another instance is tried.
constexpr std::size_t longest_wait = 1024;

Error one_by_one(const std::string& why) {
  return {Errc::unsupported, why, "launch the tasks of the graph as runs"};
}

}  // namespace

Result<std::unique_ptr<QueuedGraph>> QueuedGraph::make(const troupe_graph& description,
                                                       const CallableTable& callables, Driver& driver,
                                                       std::uint32_t lanes, std::uint32_t together) {
  if (!driver.has_graphs()) return one_by_one("this device has no graphs");
  if (description.task_count > most_tasks) {
    return one_by_one("a graph of " + std::to_string(description.task_count) + " tasks; it takes " +
                      std::to_string(most_tasks));
  }
  std::unique_ptr<QueuedGraph> graph(new QueuedGraph(driver, lanes));
  if (description.name != nullptr) graph->name_ = description.name;
  const auto* producers = description.producers;
  for (std::uint64_t i = 0; i < description.task_count; ++i) {
    const std::span own(producers, description.tasks[i].producer_count);
    if (auto added = graph->add(description, i, own, callables, together); !added) return added.error();
    producers += own.size();
  }
  if (auto added = graph->add_slots(description); !added) return added.error();
  if (auto added = graph->add_instance(); !added) return added.error();
  return graph;
}

QueuedGraph::~QueuedGraph() {
  for (const auto& instance : all_) {
    driver_.drop_graph(instance.graph);
    driver_.free_shared(instance.memory);
  }
}

Result<void> QueuedGraph::add(const troupe_graph& from, std::uint64_t number,
                              std::span<const std::uint32_t> producers, const CallableTable& callables,
                              std::uint32_t together) {
  const auto& said = from.tasks[number];
  Task task;
  auto found = callables.find(said.callable);
  if (!found) return found.error();
  task.callable = *std::move(found);
  if (task.callable->image == nullptr) {
    // What came as bytes does not say how it ended.
    return one_by_one("'" + task.callable->name + "' is no kernel of a module");
  }
  task.kernel = static_cast<const DeviceKernel*>(task.callable->image.get());
  task.name = said.name != nullptr && said.name[0] != '\0' ? said.name : task.callable->name;
  task.blocks = std::max(said.blocks, 1U);
  if ((said.flags & TROUPE_RUN_SYNC_START) != 0 && task.blocks > together) {
    return one_by_one("'" + task.name + "' is to start " + std::to_string(task.blocks) +
                      " blocks together; this device promises " + std::to_string(together));
  }
  // One that is named twice is waited for once.
  std::vector<std::uint32_t> before(producers.begin(), producers.end());
  std::sort(before.begin(), before.end());
  before.erase(std::unique(before.begin(), before.end()), before.end());
  if (before.size() > TROUPE_BLOCK_PRODUCERS) {
    return one_by_one("task " + std::to_string(number) + " waits for " + std::to_string(before.size()) +
                      " others; a call looks at " + std::to_string(TROUPE_BLOCK_PRODUCERS));
  }
  task.views = static_cast<std::uint32_t>(views_.size());
  task.scalars = static_cast<std::uint32_t>(scalars_.size());
  task.producers = static_cast<std::uint32_t>(producers_.size());
  task.view_count = said.tensor_count;
  task.scalar_count = said.scalar_count;
  task.producer_count = static_cast<std::uint32_t>(before.size());
  std::vector<runtime::Tag> tags;
  for (std::uint32_t i = 0; i < said.tensor_count; ++i) {
    const auto& view = from.tensors[task.views + i];
    auto seen = common::described_tensor(view);
    if (!seen) {
      return Error(Errc::invalid_argument,
                   "task " + std::to_string(number) + " of a graph: " + seen.error().message());
    }
    tags.push_back(static_cast<runtime::Tag>(view.tag));
    views_.push_back({view.offset, view.slot, layout_of(view)});
  }
  const auto& signature = task.callable->signature;
  const auto wrong = signature.empty() ? "" : signature_defect(signature, tags, said.scalar_count);
  if (!wrong.empty()) {
    return Error(Errc::invalid_argument, "task " + std::to_string(number) +
                                             " of a graph: its arguments do not fit kernel '" +
                                             task.callable->name + "': " + wrong);
  }
  scalars_.insert(scalars_.end(), from.scalars + task.scalars,
                  from.scalars + task.scalars + said.scalar_count);
  producers_.insert(producers_.end(), before.begin(), before.end());
  tasks_.push_back(std::move(task));
  return {};
}

/// Views that differ in their place alone have one.
std::uint32_t QueuedGraph::layout_of(const troupe_graph_tensor& view) {
  const auto tensor = common::described_tensor(view);
  const auto described =
      runtime::describe(*tensor, 0, runtime::AddressSpace::device, static_cast<runtime::Tag>(view.tag));
  troupe_device_tensor layout{};
  static_assert(sizeof layout == sizeof described);
  std::memcpy(&layout, &described, sizeof layout);
  layout.size = layout.extent * runtime::size_of(tensor->dtype());
  const auto known = std::find_if(layouts_.rbegin(), layouts_.rend(), [&](const auto& other) {
    return std::memcmp(&other, &layout, sizeof layout) == 0;
  });
  if (known != layouts_.rend()) return static_cast<std::uint32_t>(layouts_.rend() - known) - 1;
  layouts_.push_back(layout);
  return static_cast<std::uint32_t>(layouts_.size()) - 1;
}

Result<void> QueuedGraph::add_slots(const troupe_graph& from) {
  std::vector<GraphSlots::Slot> made;
  for (std::uint32_t i = 0; i < from.slot_count; ++i) {
    const auto& slot = from.slots[i];
    const std::string which = "slot " + std::to_string(i) + " of a graph: ";
    if (slot.start_offset > (std::uint64_t{1} << 40U))
      return Error(Errc::invalid_argument, which + "it starts too far out");
    const auto element = runtime::size_of(static_cast<runtime::DType>(slot.dtype));
    auto tensor = common::described_tensor(slot, slot.buffer, slot.start_offset * element);
    if (!tensor) return Error(Errc::invalid_argument, which + tensor.error().message());
    made.push_back({*tensor, static_cast<runtime::Tag>(slot.tag)});
  }
  const bool known = (from.flags & TROUPE_GRAPH_OVERLAPS_ARE_KNOWN) != 0;
  slots_ = GraphSlots(std::move(made), std::vector<std::uint8_t>(from.scalar_slot_count), !known);
  return {};
}

std::optional<Error> QueuedGraph::refusal(const Run& run) const {
  std::vector<GraphSlots::Slot> given;
  for (std::size_t i = 0; i < run.tensors.size(); ++i) {
    auto tensor = common::tensor_of(run.tensors[i], i, run);
    if (!tensor) return tensor.error();
    given.push_back({*tensor, static_cast<runtime::Tag>(run.tensors[i].tag)});
  }
  const auto defect = slots_.defect(given, std::vector<std::uint8_t>(run.scalars.size()));
  if (!defect) return std::nullopt;
  return Error(Errc::bad_task_arguments, "graph '" + name_ + "': " + *defect);
}

Result<QueuedGraph::Instance*> QueuedGraph::take(const HostServices& host) {
  if (free_.empty() && !has_all_) {
    auto added = add_instance();
    if (!added && added.error() == Errc::lost) return added.error();
    // Those that are there do without more of them, for a while.
    if (!added) {
      if (next_wait_ == 1) {
        host.log(
            TROUPE_LOG_WARNING, added.error().code().value,
            "graph '" + name_ + "': " + std::to_string(all_.size()) +
                " launches of it overlap, for there cannot be more of them now: " + render(added.error()));
      }
      ends_to_wait_ = next_wait_;
      next_wait_ = std::min(2 * next_wait_, longest_wait);
    }
    has_all_ = !added || all_.size() == most_instances;
  }
  if (free_.empty()) return nullptr;
  auto* const instance = free_.back();
  free_.pop_back();
  return instance;
}

Result<void> QueuedGraph::add_instance() {
  auto made = new_instance();
  if (!made) return made.error();
  free_.push_back(&all_.emplace_back(*std::move(made)));
  return {};
}

Result<QueuedGraph::Instance> QueuedGraph::new_instance() const {
  auto memory =
      driver_.allocate_shared(std::max<std::size_t>(tasks_.size(), 1) * sizeof(troupe_device_block));
  if (!memory) return memory.error();
  Instance made{*memory, {static_cast<troupe_device_block*>(memory->host), tasks_.size()}, {}};
  const auto address = [&](std::size_t task) { return memory->device + task * sizeof(troupe_device_block); };
  std::vector<GraphNode> nodes;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const auto& task = tasks_[i];
    auto& block = made.blocks[i];
    std::memset(&block, 0, offsetof(troupe_device_block, descriptors));
    block.tensors = task.view_count;
    block.scalars = task.scalar_count;
    block.producers = task.producer_count;
    const std::span<const std::uint32_t> after(producers_.data() + task.producers, task.producer_count);
    for (std::size_t k = 0; k < after.size(); ++k) block.producer[k] = address(after[k]);
    std::size_t next = 0;
    for (std::uint32_t k = 0; k < task.view_count; ++k) {
      block.descriptors[k] = layouts_[views_[task.views + k].layout];
      block.words[next++] = static_cast<long>(address(i) + offsetof(troupe_device_block, descriptors) +
                                              k * sizeof(troupe_device_tensor));
    }
    for (std::uint32_t k = 0; k < task.scalar_count; ++k)
      block.words[next++] = static_cast<long>(scalars_[task.scalars + k].word);
    nodes.push_back({{task.kernel->function(), task.blocks, lanes_, address(i)}, after});
  }
  auto graph = driver_.make_graph(nodes);
  if (!graph) {
    driver_.free_shared(*memory);
    return graph.error();
  }
  made.graph = *graph;
  return made;
}

void QueuedGraph::fill(Instance& instance, const Run& run, std::span<const Tensor> device) const {
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const auto& task = tasks_[i];
    auto& block = instance.blocks[i];
    block.verdict = block.abort = block.started = 0;
    block.text[0] = '\0';
    for (std::uint32_t k = 0; k < task.view_count; ++k) {
      const auto& view = views_[task.views + k];
      block.descriptors[k].address = first_byte(device[view.slot]) + view.offset;
    }
    for (std::uint32_t k = 0; k < task.scalar_count; ++k) {
      if (const auto slot = scalars_[task.scalars + k].slot; slot != TROUPE_GRAPH_NO_SLOT)
        block.words[task.view_count + k] = static_cast<long>(run.scalars[slot]);
    }
  }
}

Outcome QueuedGraph::outcome_of(const Instance& instance, const Run& run) const {
  bool complete = true;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    auto& block = instance.blocks[i];
    const auto verdict = std::atomic_ref(block.verdict).load(std::memory_order_acquire);
    complete = complete && verdict == TROUPE_VERDICT_NONE;
    if (verdict != TROUPE_VERDICT_FAILED) continue;
    block.text[sizeof block.text - 1] = '\0';
    return Error(Errc::kernel_failed,
                 "task \"" + tasks_[i].name + "\" (number " + std::to_string(i) + " of " +
                     std::to_string(tasks_.size()) + ")" +
                     (name_.empty() ? "" : " of graph \"" + name_ + "\"") + " failed: kernel '" +
                     tasks_[i].callable->name + "' failed: " + block.text,
                 "the kernel itself says so (k.fail); the same source runs on a simulated chip, in a "
                 "debugger");
  }
  if (run.aborted.load() || !complete) return aborted("aborted while it ran");
  return {};
}

std::optional<std::string> QueuedGraph::running(std::span<const troupe_device_block> blocks) const {
  for (std::size_t i = blocks.size(); i-- > 0;) {
    if (std::atomic_ref(const_cast<troupe_device_u32&>(blocks[i].started)).load() != 0)
      return tasks_[i].callable->name;
  }
  return std::nullopt;
}

}  // namespace troupe::platform::queued
