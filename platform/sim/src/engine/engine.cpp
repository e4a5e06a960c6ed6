// A run on the chip, from begin to end.

#include "engine/engine.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>

#include "engine/engine_jobs.hpp"
#include "engine/ops.hpp"
#include "engine/packed_tensor.hpp"
#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

constexpr std::uint32_t baton_spins = 500;
// A graph that is built before launch is alive as a whole.
constexpr std::uint32_t host_graph_window = 131'072;

std::uint32_t worker_count(const Options& options) {
  // Two, also on a host with one processor: a kernel that waits must not keep the others from running.
  return options.workers != 0 ? options.workers : std::max(2u, std::thread::hardware_concurrency());
}

}  // namespace

ChipEngine::ChipEngine(const Parts& parts, const Options& options)
    : parts_(parts),
      workers_(worker_count(options)),
      checked_(options.checked),
      limits_(GraphLimits::from_environment(parts.host, options.memory_bytes)),
      baton_(std::thread::hardware_concurrency() > 1 ? baton_spins : 0) {
  auto& built_in = entries_[nullptr];
  built_in = std::make_unique<KernelEntry>();
  built_in->name = "element store";
  built_in->code.name = built_in->name.c_str();
  built_in->never_waits = true;
}

ChipEngine::~ChipEngine() = default;

Result<void> ChipEngine::check_config(const Run& run) const {
  const std::string who = "run of '" + run.callable->name + "': ";
  if (run.control_threads > architecture.max_aicpu_threads) {
    return Error(Errc::capacity_exceeded, who + std::to_string(run.control_threads) + " control threads",
                 "this chip has " + std::to_string(architecture.max_aicpu_threads));
  }
  const std::uint32_t threads = run.control_threads;
  if (threads == 0 || run.block_dim == 0) return {};
  const bool all_schedule = runtime_ == TROUPE_CHIP_RUNTIME_HOST_GRAPH || threads == 1;
  const std::uint32_t schedulers = all_schedule ? threads : threads - 1;
  if (run.block_dim % schedulers == 0) return {};
  return Error(runtime::Errc::invalid_call_config,
               who + "block_dim " + std::to_string(run.block_dim) + " cannot be divided between " +
                   std::to_string(schedulers) + " scheduler threads",
               "choose a multiple, or fewer control threads");
}

Result<void> ChipEngine::begin(Run& run, std::span<const runtime::Tensor> tensors) {
  runtime_ = run.chip_runtime;
  if (runtime_ == TROUPE_CHIP_RUNTIME_DEFAULT && run.callable->is_program())
    runtime_ = run.callable->descriptor->variant;
  if (runtime_ == TROUPE_CHIP_RUNTIME_DEFAULT) runtime_ = TROUPE_CHIP_RUNTIME_TENSORMAP;
  if (runtime_ > TROUPE_CHIP_RUNTIME_CHIP_GRAPH) {
    return Error(Errc::invalid_argument, "chip runtime " + std::to_string(runtime_) + " does not exist");
  }
  if (auto sound = check_config(run); !sound) return sound;

  const Lock lock(baton_);
  runtime::TaskGraphConfig config;
  config.arena_bytes.fill(limits_.arena_bytes);
  config.task_window = limits_.task_window;
  config.edge_limit = limits_.dependency_pool;
  if (runtime_ == TROUPE_CHIP_RUNTIME_HOST_GRAPH && config.task_window == runtime::limits::task_window) {
    config.task_window = host_graph_window;
  }
  task_window_ = config.task_window;
  graph_.emplace(config);
  cores_.reset(run.block_dim != 0 ? run.block_dim : architecture.clusters);
  kernels_ = std::make_unique<Host>(*this, parts_, run);
  names_.fill({});
  module_ = run.callable->module;
  argument_ranges_.clear();
  for (const auto& tensor : tensors) {
    argument_ranges_.emplace_back(tensor.buffer().offset, tensor.buffer().offset + tensor.buffer_bytes());
  }
  failure_.reset();
  fatal_code_.store(0, std::memory_order_relaxed);
  submits_ = 0;
  next_number_ = 0;
  kernels_run_ = 0;
  hand_over_ticks_ = 0;
  made_.clear();
  inputs_.clear();
  unordered_.clear();
  live_ = nullptr;
  waits_ = Waits::nothing;
  others_end_ = stuck_ = helping_ = helpless_ = main_busy_ = main_inside_ = solo_ = abort_wanted_ = false;
  profile_ = run.wants(TROUPE_RUN_PROFILE) && parts_.host.traces();
  dump_ = run.wants(TROUPE_RUN_DUMP) && parts_.host.dumps();
  active_ = program_runs_ = true;
  if (run.aborted.load()) latch(Error(Errc::aborted, "aborted before it started"));
  return {};
}

Result<void> ChipEngine::run(Run& run, std::span<const runtime::Tensor> tensors, RunQueue& queue) {
  queue_ = &queue;
  if (auto begun = begin(run, tensors); !begun) return begun;
  if (run.callable->is_program()) {
    run_program(run, tensors);
  } else {
    submit_blocks(run, tensors);
  }
  finish(run);
  if (!failure_) return {};
  if (!run.callable->is_program() && *failure_ == runtime::Errc::require_sync_start_invalid) {
    return Error(Errc::capacity_exceeded, failure_->message());
  }
  return *failure_;
}

void ChipEngine::run_program(const Run& run, std::span<const runtime::Tensor> tensors) {
  std::vector<troupe_chip_tensor_v1> packed(tensors.size());
  std::vector<std::uint8_t> tags(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    pack(tensors[i], packed[i]);
    tags[i] = run.tensors[i].tag;
  }
  const troupe_chip_arguments_v1 arguments{packed.data(), tags.data(), run.scalars.data(),
                                           static_cast<std::uint32_t>(packed.size()),
                                           static_cast<std::uint32_t>(run.scalars.size())};
  const troupe_chip_ops_v1 ops = chip_ops(runtime_);
  const troupe_chip_v1 chip{&ops, this};
  char text[256] = "";
  const troupe_program_call_v1 call{sizeof call,
                                    0,
                                    const_cast<troupe_chip_v1*>(&chip),
                                    const_cast<troupe_chip_arguments_v1*>(&arguments),
                                    text,
                                    sizeof text,
                                    run.scalar_kinds.data()};
  CoreSlot& slot = parts_.board.program();
  slot.enter(run.callable->name.c_str(), 0, ticks());
  const std::uint64_t begin = profile_ ? parts_.host.now() : 0;
  const std::int32_t outcome = [&] {
    const Telling telling(parts_.host, [&](troupe_running& what) {
      what.what = "chip program";
      what.name = run.callable->name.c_str();
      what.task = run.name.c_str();
      what.core = TROUPE_NO_CORE;
      what.core_kind = TROUPE_CORE_CONTROL;
      what.correlation = run.correlation;
    });
    return run.callable->descriptor->invoke.program(&call);
  }();
  if (outcome != TROUPE_DONE && fatal() == 0) {
    fail(Error(Errc::kernel_failed, "chip program '" + run.callable->name +
                                        "' failed: " + (text[0] != '\0' ? text : "it gave no reason")));
  }
  slot.leave();
  if (!profile_) return;
  troupe_trace_event event{};
  event.name = run.callable->name.c_str();
  event.begin_ns = begin;
  event.end_ns = parts_.host.now();
  event.core = TROUPE_NO_CORE;
  event.core_kind = TROUPE_CORE_CONTROL;
  event.block_count = 1;
  event.code = fatal();
  const Turn turn(*this);
  trace_.push_back(event);
}

void ChipEngine::submit_blocks(const Run& run, std::span<const runtime::Tensor> tensors) {
  std::vector<troupe_chip_argument_v1> arguments(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    pack(tensors[i], arguments[i].tensor);
    arguments[i].tag = run.tensors[i].tag;
  }
  const std::string& name = run.callable->name;
  names_[(reinterpret_cast<std::uintptr_t>(name.data()) >> 3) % names_.size()] = {name.data(), name.size(),
                                                                                  entry_of(*run.callable)};
  troupe_chip_task_v1 task{};
  task.size = sizeof task;
  task.flags = run.wants(TROUPE_RUN_SYNC_START) ? TROUPE_CHIP_SYNC_START : 0;
  const auto lane = run.callable->core_kind == TROUPE_CORE_AIC ? TROUPE_CHIP_AIC : TROUPE_CHIP_AIV0;
  task.kernels[lane] = name.data();
  task.kernel_name_sizes[lane] = name.size();
  task.arguments = arguments.data();
  task.argument_count = static_cast<std::uint32_t>(arguments.size());
  task.scalars = run.scalars.data();
  task.scalar_count = static_cast<std::uint32_t>(run.scalars.size());
  task.scalar_kinds = run.scalar_kinds.data();
  task.blocks = run.blocks;
  submit(task);
}

void ChipEngine::finish(Run& run) {
  {
    Lock lock(baton_);
    join();
    if (!failure_) {
      release_held();
      graph_->close();
    }
    program_runs_ = false;
    serve(lock, Role::main, [this] { return finished(); });
    run.chip_tasks = kernels_run_;
    active_ = false;
    signal();
    if (graph_->status().live != 0) records_ = TaskRecords();  // those of a cycle were never given back
    graph_.reset();
    kernels_.reset();
  }
  kept_.clear();
  if (profile_) deliver_trace(run.correlation);
}

void ChipEngine::look_at_deferred(const std::function<void(const CoreSlot&)>& look) const {
  const Lock lock(baton_);
  for (const auto& deferral : deferrals_) look(deferral.slot);
}

void ChipEngine::memory_written() noexcept {
  const Lock lock(baton_);
  if (active_) kernels_->flags().look_again();
}

void ChipEngine::interrupt(const Run& run) noexcept {
  const Lock lock(baton_);
  if (!active_ || &kernels_->run() != &run) return;
  if (solo_) {
    // The graph is in other hands, which will see to the rest; but nothing starts any more.
    abort_wanted_ = true;
    fatal_code_.store(static_cast<std::int32_t>(Errc::aborted), std::memory_order_relaxed);
  } else {
    latch(aborted());
  }
  kernels_->interrupt();
}

}  // namespace troupe::platform::sim
