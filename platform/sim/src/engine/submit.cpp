// From what a chip program asks for to tasks of the graph.

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "engine/engine.hpp"
#include "engine/engine_jobs.hpp"
#include "engine/packed_tensor.hpp"
#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/access.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::platform::sim {

using runtime::Tag;
using runtime::Tensor;

namespace {

std::uint64_t to_number(runtime::TaskId id) noexcept { return std::uint64_t{id.generation} << 32 | id.slot; }
runtime::TaskId to_task(std::uint64_t number) noexcept {
  return {static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32)};
}

/// A caller that says nothing of the kinds, or was built before there were any, is taken at its word.
void copy_scalars(const troupe_chip_task_v1& task, TaskRecord& record) noexcept {
  std::copy_n(task.scalars, task.scalar_count, record.scalars);
  const std::uint8_t* kinds = TROUPE_SCALAR_KINDS_OF(&task);
  if (kinds != nullptr) {
    std::copy_n(kinds, task.scalar_count, record.scalar_kinds);
  } else {
    std::fill_n(record.scalar_kinds, task.scalar_count, std::uint8_t{TROUPE_SCALAR_ANY});
  }
}

Error invalid(const std::string& what) { return Error(runtime::Errc::invalid_args, what); }

Error impossible(const troupe_chip_task_v1& task, bool dummy) {
  std::string what = dummy ? "a kernel in a dummy" : "no kernel";
  if (task.blocks == 0) what = "0 blocks";
  if (task.scalar_count > runtime::limits::core_scalars)
    what = std::to_string(task.scalar_count) + " scalars";
  if (task.argument_count > runtime::limits::core_tensors)
    what = std::to_string(task.argument_count) + " tensors";
  return Error(runtime::Errc::invalid_args, "a task cannot have " + what,
               "at most 32 tensors and 16 scalars, at least one kernel and one block");
}

/// The number of every task that had ended when its submit returned: no task of the graph.
constexpr std::uint64_t ran_at_once = 0xFFFF'FFFF;
constexpr std::uint32_t help_interval = 32;
// What handing over costs is forgotten by and by, so that it is tried again.
constexpr std::uint32_t forget_interval = 4096;
// What the program's thread may run in between, in microseconds: less than what waking another one costs.
constexpr std::uint32_t longest_short = 20;
// What it runs rather than hand it over, at most: as long as that takes, and at least 0.4.
constexpr std::uint32_t longest_quick = 3;

}  // namespace

KernelEntry* ChipEngine::entry_of(const Callable& callable) {
  const void* key = callable.descriptor != nullptr ? static_cast<const void*>(callable.descriptor)
                                                   : static_cast<const void*>(callable.foreign.get());
  auto& entry = entries_[key];
  // Foreign code that was unregistered may have left its place to another one: numbers do not come again.
  if (entry == nullptr || (callable.foreign != nullptr && entry->callable != callable.id)) {
    entry = std::make_unique<KernelEntry>();
    entry->callable = callable.id;
    entry->name = callable.name;
    entry->signature = callable.signature;
    entry->code = {callable.descriptor, callable.foreign.get(), entry->name.c_str()};
    entry->waits.store(callable.may_wait(), std::memory_order_relaxed);
    entry->never_waits = !callable.may_wait() && !runtime::has_waits(*callable.module);
  }
  if (entry->signature != callable.signature) entry->signature = callable.signature;
  return entry.get();
}

KernelEntry* ChipEngine::kernel(const char* name, std::size_t size) {
  auto& cached = names_[(reinterpret_cast<std::uintptr_t>(name) >> 3) % names_.size()];
  // The same place may hold another name by now, so the characters decide.
  if (cached.entry != nullptr && cached.size == size &&
      std::memcmp(cached.entry->name.data(), name, size) == 0) {
    return cached.entry;
  }
  const std::string wanted(name, size);
  KernelEntry* entry = nullptr;
  if (const auto* found = module_ != nullptr ? find_kernel(*module_, wanted) : nullptr) {
    auto& known = entries_[found];
    if (known == nullptr) {
      known = std::make_unique<KernelEntry>();
      known->name = wanted;
      known->code = {found, nullptr, known->name.c_str()};
      known->waits.store(found->variant == TROUPE_KERNEL_WAITS, std::memory_order_relaxed);
      known->never_waits = found->variant != TROUPE_KERNEL_WAITS && !runtime::has_waits(*module_);
    }
    entry = known.get();
  } else if (auto registered = parts_.callables.find(wanted);
             registered != nullptr && !registered->is_program()) {
    entry = entry_of(*registered);
    kept_.push_back(std::move(registered));
  }
  if (entry == nullptr) {
    fail(Error(Errc::unknown_callable, "the chip program names kernel '" + wanted + "', which does not exist",
               "put it into the program's module, or register it on this chip"));
    return nullptr;
  }
  cached = {name, size, entry};
  return entry;
}

bool ChipEngine::check_task(const troupe_chip_task_v1& task) {
  const bool dummy = (task.flags & TROUPE_CHIP_DUMMY) != 0;
  const bool has_kernel =
      task.kernels[0] != nullptr || task.kernels[1] != nullptr || task.kernels[2] != nullptr;
  if (task.argument_count > runtime::limits::core_tensors ||
      task.scalar_count > runtime::limits::core_scalars || task.blocks == 0 || has_kernel == dummy) {
    fail(impossible(task, dummy));
    return false;
  }
  if ((task.flags & TROUPE_CHIP_SYNC_START) == 0 || task.blocks == 1) return true;
  const bool only_aiv =
      task.kernels[0] == nullptr && (task.kernels[1] == nullptr || task.kernels[2] == nullptr);
  const std::uint32_t capacity = cores_.clusters() * (only_aiv ? 2 : 1);
  if (task.blocks <= capacity) return true;
  fail(Error(runtime::Errc::require_sync_start_invalid,
             std::to_string(task.blocks) + " blocks cannot start together: this run has " +
                 std::to_string(capacity) + (only_aiv ? " vector cores" : " clusters")));
  return false;
}

bool ChipEngine::check_signatures(const TaskRecord& record) {
  for (const KernelEntry* entry : record.lanes) {
    if (entry == nullptr || entry->signature.empty()) continue;
    const auto wrong =
        signature_defect(entry->signature, {record.tags, record.tensor_count}, record.scalar_count);
    if (wrong.empty()) continue;
    latch(invalid("the arguments do not fit kernel '" + entry->name + "': " + wrong));
    return false;
  }
  return true;
}

TaskRecord* ChipEngine::make_record(troupe_chip_task_v1& task) {
  const bool predicated = task.predicate != nullptr;
  TaskRecord* record = records_.take(task.argument_count + (predicated ? 1 : 0));
  records_.prefetch(task.argument_count);
  accesses_.clear();
  boxes_.clear();
  boxes_.reserve(task.argument_count + 1);  // accesses point into it
  record->has_fills = record->skipped = record->is_store = record->is_symbolic = record->is_listed = false;
  record->allocated = 0;
  record->has_predicate = predicated;
  record->sync_start = (task.flags & TROUPE_CHIP_SYNC_START) != 0;
  record->blocks = task.blocks;
  record->next_block = 0;
  record->tensor_count = task.argument_count;
  record->extra_tensors = predicated ? 1 : 0;
  record->scalar_count = task.scalar_count;
  copy_scalars(task, *record);
  return record;
}

bool ChipEngine::is_quick(const KernelEntry& entry) const noexcept {
  const std::uint32_t usual = entry.usual_ticks.load(std::memory_order_relaxed);
  if (usual == 0) return false;
  const std::uint32_t microsecond = ticks_per_microsecond();
  return usual < std::clamp(hand_over_ticks_, microsecond * 2 / 5, microsecond * longest_quick);
}

void ChipEngine::choose_kind(TaskRecord& record) const noexcept {
  record.pieces_left = record.blocks * record.lane_count;
  if (record.pieces_left > 1) {
    record.kind = set_kind;
    return;
  }
  const bool on_aic = record.lanes[TROUPE_CHIP_AIC] != nullptr;
  const std::uint32_t usual = record.entry->usual_ticks.load(std::memory_order_relaxed);
  if (record.entry->waits.load(std::memory_order_relaxed)) {
    record.kind = on_aic ? lone_aic : lone_aiv;
  } else if (record.is_store || is_quick(*record.entry)) {
    record.kind = on_aic ? quick_aic : quick_aiv;
  } else if (usual != 0 && usual < ticks_per_microsecond() * longest_short) {
    record.kind = on_aic ? short_aic : short_aiv;
  } else {
    record.kind = on_aic ? aic : aiv;
  }
}

// While nobody else takes part and everything submitted before has ended, a quick task that cannot wait is
// over before the graph could learn of it: whatever comes later finds it done, as if it had waited.
bool ChipEngine::run_at_once(const troupe_chip_task_v1& task, KernelEntry& entry, std::uint32_t lane) {
  if (!entry.never_waits || !is_quick(entry) || !entry.signature.empty() || task.blocks != 1 ||
      task.predicate != nullptr || runtime_ != TROUPE_CHIP_RUNTIME_TENSORMAP || profile_ || dump_ ||
      graph_->live() != 0) {
    return false;
  }
  const std::uint32_t core = lane == TROUPE_CHIP_AIC ? cores_.take_aic() : cores_.take_aiv();
  TaskRecord* record = records_.take(task.argument_count);
  bool usual = core != CorePool::none;
  for (std::uint32_t i = 0; usual && i < task.argument_count; ++i) {
    usual = describe_argument(*record, i, task.arguments[i]);
  }
  if (!usual) {  // the long way knows what to do, or to say
    if (core != CorePool::none) cores_.give_back(core / 4, core % 4);
    records_.give_back(record);
    return false;
  }
  record->has_fills = record->has_predicate = record->skipped = record->is_store = record->is_listed = false;
  record->lanes = {};
  record->lanes[lane] = record->entry = &entry;
  record->lane_count = record->blocks = 1;
  record->tensor_count = task.argument_count;
  record->extra_tensors = 0;
  record->scalar_count = task.scalar_count;
  copy_scalars(task, *record);
  if (++submits_ % forget_interval == 0) hand_over_ticks_ -= hand_over_ticks_ / 4;
  run_own_task(*record, core);
  return true;
}

std::uint64_t ChipEngine::submit_record(TaskRecord* record, std::span<const std::uint64_t> after,
                                        Lock& lock) {
  ++next_number_;
  if (profile_ || dump_) {
    record->submitted_ns = parts_.host.now();
    record->number = next_number_;
    record->depth = graph_->depth();
  }
  after_.clear();
  for (const std::uint64_t number : after) after_.push_back(to_task(number));
  const bool holds = runtime_ != TROUPE_CHIP_RUNTIME_TENSORMAP;
  runtime::TaskSpec spec;
  spec.name = record->entry->name;
  spec.cookie = reinterpret_cast<std::uint64_t>(record);
  spec.kind = record->kind;
  spec.node_only = record->kind == node_kind;
  spec.events = holds ? 1 : 0;
  spec.accesses = accesses_;
  spec.after = after_;
  if (limits_.dependency_pool != 0 && after.size() > limits_.dependency_pool) {
    latch(Error(runtime::Errc::dependency_overflow,
                "'" + record->entry->name + "' has " + std::to_string(after.size()) +
                    " producers, more than the whole dependency pool holds",
                "raise PTO2_RING_DEP_POOL, or gather them in a dummy task"));
    records_.give_back(record);
    return 0;
  }
  if (!graph_->has_room() && !wait_for_room(lock)) {
    records_.give_back(record);
    return 0;
  }
  auto made = graph_->submit(spec);
  if (!made) {
    records_.give_back(record);
    latch(made.error());
    return 0;
  }
  record->id = *made;
  if (record->allocated != 0) own_outputs(*record, to_number(*made));
  if (profile_) {
    numbers_[to_number(*made)] = record->number;
    note_producers(record->number, after);
  }
  if (holds) {
    held_.push_back(*made);
    list(*record);
  }
  if (record->kind == node_kind) {
    others_end_ = true;
    drain_ended();
  }
  // A quick task is for this thread, and makes nothing else ready.
  bool look_for_helpers = holds || spec.kind > quick_aiv;
  if (++submits_ % forget_interval == 0) hand_over_ticks_ -= hand_over_ticks_ / 4;
  if (submits_ % help_interval == 0) {
    help(lock);
    look_for_helpers = true;
  }
  if (look_for_helpers) want_helper();
  return to_number(*made);
}

void ChipEngine::release_held() {
  for (const runtime::TaskId task : held_) graph_->signal(task);
  held_.clear();
}

std::uint64_t ChipEngine::submit(troupe_chip_task_v1& task) {
  if (fatal() != 0 || !check_task(task)) return 0;
  KernelEntry* lanes[3] = {};
  std::uint32_t lane_count = 0;
  bool is_signed = false;
  for (std::size_t lane = 0; lane < 3; ++lane) {
    if (task.kernels[lane] == nullptr) continue;
    lanes[lane] = kernel(task.kernels[lane], task.kernel_name_sizes[lane]);
    if (lanes[lane] == nullptr) return 0;
    is_signed = is_signed || !lanes[lane]->signature.empty();
    ++lane_count;
  }
  if (lane_count == 1 && lanes[TROUPE_CHIP_AIV1] != nullptr) std::swap(lanes[1], lanes[2]);

  if (solo_ && lane_count == 1) {
    const std::uint32_t lane = lanes[TROUPE_CHIP_AIC] != nullptr ? TROUPE_CHIP_AIC : TROUPE_CHIP_AIV0;
    if (run_at_once(task, *lanes[lane], lane)) return ran_at_once;
  }

  Turn turn(*this);
  if (fatal() != 0) return 0;
  if (runtime_ == TROUPE_CHIP_RUNTIME_CHIP_GRAPH) release_held();
  TaskRecord* record = make_record(task);
  std::copy(lanes, lanes + 3, record->lanes.begin());
  record->lane_count = std::max(lane_count, 1u);
  record->entry = lanes[0] != nullptr ? lanes[0] : lanes[1] != nullptr ? lanes[1] : entries_[nullptr].get();
  bool good = true;
  for (std::uint32_t i = 0; good && i < task.argument_count; ++i) {
    auto& argument = task.arguments[i];
    if ((argument.flags & TROUPE_CHIP_ALLOCATE) != 0) {
      good = give_memory(argument);
      record->allocated |= std::uint64_t{1} << i;
    }
    good = good && add_tensor(*record, i, unpack(argument.tensor), static_cast<Tag>(argument.tag));
    if (good && (argument.flags & TROUPE_CHIP_FILL) != 0) {
      record->fills[i] = {true, argument.initial};
      record->has_fills = true;
    }
  }
  if (good && is_signed) good = check_signatures(*record);
  if (good && record->has_predicate) {
    record->predicate = *task.predicate;
    good = add_tensor(*record, task.argument_count, unpack(*task.predicate->tensor), Tag::in);
  }
  if (!good) {
    records_.give_back(record);
    return 0;
  }
  if ((task.flags & TROUPE_CHIP_DUMMY) != 0) {
    record->kind = node_kind;
  } else {
    choose_kind(*record);
  }
  return submit_record(record, {task.after, task.after_count}, turn.lock());
}

void ChipEngine::edge(std::uint64_t before, std::uint64_t after) {
  if (fatal() != 0) return;
  const Turn turn(*this);
  if (before == 0 || after == 0) return latch(invalid("an edge needs two tasks"));
  if (auto added = graph_->add_edge(to_task(before), to_task(after)); !added) {
    latch(Error(runtime::Errc::invalid_args, added.error().message(),
                "add the edges of a task directly after its submit, or build the graph before launch"));
  }
}

void ChipEngine::begin_scope() {
  if (fatal() != 0) return;
  const Turn turn(*this);
  if (auto begun = graph_->begin_scope(); !begun) latch(begun.error());
}

void ChipEngine::end_scope() {
  if (fatal() != 0) return;
  const Turn turn(*this);
  if (auto ended = graph_->end_scope(); !ended) latch(ended.error());
}

void ChipEngine::alloc(troupe_chip_argument_v1& argument) {
  if (fatal() != 0) return;
  Turn turn(*this);
  if (!give_memory(argument)) return;
  if ((argument.flags & TROUPE_CHIP_FILL) != 0)
    store(unpack(argument.tensor), 0, argument.initial, true, turn.lock());
}

void ChipEngine::fail(Error error) {
  const Turn turn(*this);
  latch(error);
}

void ChipEngine::log(std::int32_t level, const char* text) {
  const auto known =
      static_cast<troupe_log_level>(std::clamp<std::int32_t>(level, TROUPE_LOG_ERROR, TROUPE_LOG_DEBUG));
  parts_.host.log(known, 0, text != nullptr ? text : "");
}

}  // namespace troupe::platform::sim
