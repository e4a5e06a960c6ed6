// From what a chip program asks for to tasks of the graph.

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "engine/engine.hpp"
#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

using runtime::Tag;
using runtime::Tensor;

namespace {

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

}  // namespace

bool ChipEngine::check_task(const troupe_chip_task_v1& task) {
  const bool dummy = (task.flags & TROUPE_CHIP_DUMMY) != 0;
  const bool has_kernel =
      task.kernels[0] != nullptr || task.kernels[1] != nullptr || task.kernels[2] != nullptr;
  if (task.argument_count > runtime::limits::core_tensors ||
      task.scalar_count > runtime::limits::core_scalars || task.blocks == 0 || has_kernel == dummy) {
    fail(impossible(task, dummy));
    return false;
  }
  const auto* arguments = task.arguments;
  if (dummy && (task.predicate != nullptr ||
                std::any_of(arguments, arguments + task.argument_count,
                            [](const auto& argument) { return (argument.flags & TROUPE_CHIP_FILL) != 0; }))) {
    fail(Error(runtime::Errc::invalid_args,
               task.predicate != nullptr ? "a dummy, which never runs, cannot depend on an element (when)"
                                         : "a dummy, which never runs, cannot fill new memory",
               "chip.alloc(out_new<float>({n}).fill(x)) makes memory that is filled"));
    return false;
  }
  if ((task.flags & TROUPE_CHIP_SYNC_START) == 0 || task.blocks == 1) return true;
  return check_together(
      task.blocks, task.kernels[0] == nullptr && (task.kernels[1] == nullptr || task.kernels[2] == nullptr));
}

bool ChipEngine::check_together(std::uint32_t blocks, bool only_aiv) {
  const std::uint32_t capacity = schedule_.cores().clusters() * (only_aiv ? 2 : 1);
  if (blocks <= capacity) return true;
  fail(Error(runtime::Errc::require_sync_start_invalid,
             std::to_string(blocks) + " blocks cannot start together: this run has " +
                 std::to_string(capacity) + (only_aiv ? " vector cores" : " clusters")));
  return false;
}

void ChipEngine::fail_with_refusal() {
  if (const auto why = builder_.take_refusal()) schedule_.fail(*why);
}

bool ChipEngine::find_kernels(const troupe_chip_task_v1& task, TaskBuilder::Kernels& kernels) {
  auto& lanes = kernels.lanes;
  for (std::size_t lane = 0; lane < 3; ++lane) {
    if (task.kernels[lane] == nullptr) continue;
    const std::size_t size = task.kernel_name_sizes[lane];
    lanes[lane] = table_.find(task.kernels[lane], size);
    if (lanes[lane] == nullptr) {
      fail(Error(Errc::unknown_callable,
                 "the chip program names kernel '" + std::string(task.kernels[lane], size) +
                     "', which does not exist",
                 "put it into the program's module, or register it on this chip"));
      return false;
    }
    kernels.is_signed = kernels.is_signed || !lanes[lane]->signature.empty();
    ++kernels.count;
  }
  if (kernels.count == 1 && lanes[TROUPE_CHIP_AIV1] != nullptr) std::swap(lanes[1], lanes[2]);
  kernels.entry = lanes[0] != nullptr ? lanes[0] : lanes[1] != nullptr ? lanes[1] : &table_.element_store();
  return true;
}

// While no other thread takes part and everything submitted before has ended, a quick task that cannot wait
// is over before the graph could learn of it: what comes later finds it done, as if it had waited.
bool ChipEngine::run_at_once(const troupe_chip_task_v1& task, KernelEntry& entry, std::uint32_t lane) {
  if (!entry.never_waits || !pace_.is_quick(entry) || !entry.signature.empty() || task.blocks != 1 ||
      task.predicate != nullptr || has_edges_by_hand() || traces_.any() || schedule_.graph().live() != 0) {
    return false;
  }
  CorePool& cores = schedule_.cores();
  const std::uint32_t core = lane == TROUPE_CHIP_AIC ? cores.take_aic() : cores.take_aiv();
  if (core == CorePool::none) return false;
  TaskRecord* record = builder_.build_at_once(task, entry, lane);
  if (record == nullptr) {  // the long way knows what to do, or to say
    cores.give_back(core / 4, core % 4);
    return false;
  }
  pace_.submitted();
  crew_.run_at_once(*record, core);
  return true;
}

// While the others have enough to do, a short task that waits for nobody may as well run here and now, while
// it is in the cache: the graph need not learn of it.
bool ChipEngine::may_run_inside(const TaskRecord& task) const noexcept {
  return task.entry->never_waits && crew_.others_have_enough() && !task.has_predicate &&
         task.allocated == 0 && !task.is_symbolic && !task.is_store && !task.is_unordered &&
         task.timing_slot < 0 && foreign_ == nullptr && !holds_tasks() && recorder_ == nullptr &&
         !traces_.any() && !checks_.enabled() && schedule_.graph().is_free(builder_.accesses());
}

std::uint64_t ChipEngine::submit_record(TaskRecord* record, std::span<const std::uint64_t> after,
                                        Lock& lock) {
  runtime::TaskGraph& graph = schedule_.graph();
  if (traces_.any()) traces_.number(*record, graph.depth());
  after_.clear();
  for (const std::uint64_t number : after) after_.push_back(to_task(number));
  const bool holds = holds_tasks();
  runtime::TaskSpec spec;
  spec.name = record->entry->name;
  spec.cookie = reinterpret_cast<std::uint64_t>(record);
  spec.kind = record->kind;
  spec.node_only = record->kind == kinds::node;
  spec.events = holds ? 1 : 0;
  spec.accesses = builder_.accesses();
  spec.after = after_;
  if (foreign_ == nullptr && limits_.dependency_pool != 0 && after.size() > limits_.dependency_pool) {
    schedule_.fail(Error(runtime::Errc::dependency_overflow,
                         "'" + record->entry->name + "' has " + std::to_string(after.size()) +
                             " producers, more than the whole dependency pool holds",
                         "raise PTO2_RING_DEP_POOL, or gather them in a dummy task"));
    records_.give_back(record);
    return 0;
  }
  if (recorder_ != nullptr) {
    if (auto recorded = recorder_->add(*record, spec.accesses, after); !recorded) {
      records_.give_back(record);
      schedule_.fail(recorded.error());
      return 0;
    }
  }
  if (!waits_.for_room(lock)) {
    records_.give_back(record);
    return 0;
  }
  auto made = graph.submit(spec);
  if (!made) {
    records_.give_back(record);
    schedule_.fail(made.error());
    return 0;
  }
  record->id = *made;
  const std::uint64_t number = to_number(*made);
  if (recorder_ != nullptr) recorder_->submitted(number);
  if (record->allocated != 0) builder_.own_outputs(*record, number);
  if (traces_.traces()) traces_.submitted(*record, spec.accesses, after);
  if (holds) schedule_.hold(*record);
  if (record->is_unordered) schedule_.list(*record);
  // A quick task is for this thread, and makes nothing else ready.
  bool look_for_helpers = holds || spec.kind > kinds::quick_aiv;
  if (spec.node_only) {
    schedule_.expect_ended();
    schedule_.drain_ended();
  }
  service_.held_by(&crew_);
  if (pace_.submitted() || crew_.is_of_help()) {
    crew_.help(lock);
    look_for_helpers = true;
  }
  // Kernels that may wait are for other threads. But where an object submits one task and returns, this
  // thread is there sooner than another one is awake.
  const bool may_be_all = foreign_ != nullptr && pace_.submits() == 1;
  if (look_for_helpers && !may_be_all) crew_.want_helper();
  return number;
}

TaskRecord* ChipEngine::whole_of(GraphReplay& replay) {
  TaskRecord* whole = records_.take(0);
  whole->kind = kinds::graph;
  whole->replay = &replay;
  whole->entry = replay.store = &table_.element_store();
  whole->is_listed = whole->is_unordered = whole->is_symbolic = whole->skipped = false;
  whole->tensor_count = whole->extra_tensors = 0;
  whole->allocated = 0;
  replay.whole = whole;
  return whole;
}

/// To the graph it is one task. False: the run has failed, and the replay is given back.
bool ChipEngine::submit_replay(GraphReplay& replay, std::span<const runtime::Access> accesses, Lock& lock) {
  if (fatal() != 0 || !waits_.for_room(lock)) {
    replays_.give_back(replay);
    return false;
  }
  runtime::TaskGraph& graph = schedule_.graph();
  TaskRecord* whole = whole_of(replay);
  whole->depth = graph.depth();
  runtime::TaskSpec spec;
  spec.name = replay.name;
  spec.cookie = reinterpret_cast<std::uint64_t>(whole);
  spec.kind = kinds::graph;
  spec.accesses = accesses;
  auto made = graph.submit(spec);
  if (!made) {
    replays_.give_back(replay);
    records_.give_back(whole);
    schedule_.fail(made.error());
    return false;
  }
  whole->id = *made;
  schedule_.drain_ended();
  crew_.want_helper();
  return true;
}

std::uint64_t ChipEngine::submit(troupe_chip_task_v1& task) {
  if (fatal() != 0 || !check_task(task)) return 0;
  TaskBuilder::Kernels kernels;
  if (!find_kernels(task, kernels)) return 0;
  if (whereabouts_.alone && kernels.count == 1 && recorder_ == nullptr) {
    const std::uint32_t lane = kernels.lanes[TROUPE_CHIP_AIC] != nullptr ? TROUPE_CHIP_AIC : TROUPE_CHIP_AIV0;
    if (run_at_once(task, *kernels.entry, lane)) return ran_at_once;
  }

  Turn turn(*this);
  if (fatal() != 0) return 0;
  if (runtime_ == TROUPE_CHIP_RUNTIME_CHIP_GRAPH) schedule_.release_held();
  if (recorder_ != nullptr) recorder_->expect_scalars(TROUPE_CHIP_SCALAR_SLOTS_OF(&task));
  TaskRecord* record = builder_.build(task, kernels);
  if (record == nullptr) {
    fail_with_refusal();
    return 0;
  }
  record->kind = (task.flags & TROUPE_CHIP_DUMMY) != 0 ? kinds::node : pace_.kind_of(*record);
  if (record->kind <= kinds::short_aiv && task.after_count == 0 && may_run_inside(*record)) {
    service_.held_by(&crew_);
    if (crew_.run_inside(*record, turn.lock())) return ran_at_once;
  }
  return submit_record(record, {task.after, task.after_count}, turn.lock());
}

void ChipEngine::edge(std::uint64_t before, std::uint64_t after) {
  if (fatal() != 0) return;
  const Turn turn(*this);
  if (before == 0 || after == 0) return schedule_.fail(invalid("an edge needs two tasks"));
  if (recorder_ != nullptr) {
    if (auto added = recorder_->add_edge(before, after); !added) return schedule_.fail(added.error());
  }
  if (auto added = schedule_.graph().add_edge(to_task(before), to_task(after)); !added) {
    schedule_.fail(
        Error(runtime::Errc::invalid_args, added.error().message(),
              "add the edges of a task directly after its submit, or build the graph before launch"));
  }
}

void ChipEngine::begin_scope() {
  if (fatal() != 0) return;
  const Turn turn(*this);
  if (auto begun = schedule_.graph().begin_scope(); !begun) schedule_.fail(begun.error());
}

void ChipEngine::end_scope() {
  if (fatal() != 0) return;
  const Turn turn(*this);
  if (auto ended = schedule_.graph().end_scope(); !ended) schedule_.fail(ended.error());
}

void ChipEngine::alloc(troupe_chip_argument_v1& argument) {
  if (fatal() != 0) return;
  Turn turn(*this);
  if (!builder_.give_memory(argument)) return fail_with_refusal();
  if (recorder_ != nullptr) {
    const auto made = unpack(argument.tensor);
    recorder_->add_memory(made.buffer(), made.buffer_bytes());
  }
  if ((argument.flags & TROUPE_CHIP_FILL) != 0)
    store(unpack(argument.tensor), 0, argument.initial, true, turn.lock());
}

std::uint64_t ChipEngine::get(const Tensor& tensor, std::uint64_t element) {
  if (fatal() != 0) return 0;
  Turn turn(*this);
  if (recorder_ != nullptr) {
    refuse_in_graph(
        "reads an element of " + to_string(tensor) + ": a replay submits the same, whatever its tensors hold",
        "read it before the graph, or choose the task by a predicate: when(tensor, compare, value)");
    return 0;
  }
  if (runtime_ == TROUPE_CHIP_RUNTIME_CHIP_GRAPH) schedule_.release_held();
  if (!waits_.for_element(tensor, element, Tag::in, turn.lock())) return 0;
  const std::uint64_t address = builder_.address_of(tensor);
  if (address == 0) {
    fail_with_refusal();
    if (fatal() == 0) log(TROUPE_LOG_WARNING, "an element was read before anything wrote the tensor");
    return 0;
  }
  std::uint64_t value = 0;
  const std::size_t size = tensor.element_bytes();
  std::memcpy(&value, pointer(address + tensor.byte_offset() + element * size), size);
  return value;
}

void ChipEngine::set(const Tensor& tensor, std::uint64_t element, std::uint64_t value) {
  if (fatal() != 0) return;
  Turn turn(*this);
  // Of a graph it is a task like any other; else, of memory that comes with its first task.
  if (recorder_ != nullptr || (tensor.buffer().arena != 0 && !schedule_.graph().placement(tensor.buffer()))) {
    return store(tensor, element, value, false, turn.lock());
  }
  if (runtime_ == TROUPE_CHIP_RUNTIME_CHIP_GRAPH) schedule_.release_held();
  if (!waits_.for_element(tensor, element, Tag::inout, turn.lock())) return;
  const std::uint64_t address = builder_.address_of(tensor);
  if (address == 0) return fail_with_refusal();
  const std::size_t size = tensor.element_bytes();
  store_visibly(pointer(address + tensor.byte_offset() + element * size), &value, size);
  look_again();  // a kernel that nothing orders may be waiting for it
}

// A task without a kernel, so that it is ordered like any other.
void ChipEngine::store(const Tensor& tensor, std::uint64_t element, std::uint64_t value, bool everywhere,
                       Lock& lock) {
  TaskRecord* record = builder_.build_store(tensor, element, value, everywhere, table_.element_store());
  if (record == nullptr) return fail_with_refusal();
  record->kind = pace_.kind_of(*record);
  submit_record(record, {}, lock);
}

void ChipEngine::fail(const Error& error) {
  const Turn turn(*this);
  schedule_.fail(error);
}
void ChipEngine::fail(const Outcome& outcome) noexcept {
  try {
    fail(Error(static_cast<Errc>(outcome.code), outcome.message));
  } catch (...) {
    fail(no_memory_);
  }
}

void ChipEngine::log(std::int32_t level, const char* text) {
  const auto known =
      static_cast<troupe_log_level>(std::clamp<std::int32_t>(level, TROUPE_LOG_ERROR, TROUPE_LOG_DEBUG));
  parts_.host.log(known, 0, text != nullptr ? text : "");
}

}  // namespace troupe::platform::sim
