// A run on the chip, from begin to end.

#include "engine/engine.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>

#include "engine/ops.hpp"
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

/// How the kernels of the current run wait.
class ChipEngine::Host final : public KernelHost {
 public:
  Host(Crew& crew, const Parts& parts, Run& run)
      : KernelHost(parts.host, parts.memory, parts.windows, run), crew_(crew) {}

 private:
  void about_to_park(CoreSlot& core, bool /*local*/) override { crew_.about_to_park(core); }
  Crew& crew_;
};

ChipEngine::ChipEngine(const Parts& parts, const Options& options)
    : parts_(parts),
      device_limits_(GraphLimits::from_environment(parts.host, options.memory_bytes)),
      limits_(device_limits_),
      baton_(std::thread::hardware_concurrency() > 1 ? baton_spins : 0),
      table_(parts.callables),
      intermediates_(parts.memory, limits_.arena_bytes, options.checked),
      checks_(parts.memory, intermediates_, options.checked),
      traces_(parts.host),
      builder_(records_, parts.memory, intermediates_, checks_),
      deferrals_(
          parts.threads, whereabouts_,
          [this](Deferrals::Deferral& deferral) { crew_.end_deferral(deferral); },
          [this] { return progress(); }),
      schedule_({.records = records_,
                 .intermediates = intermediates_,
                 .checks = checks_,
                 .traces = traces_,
                 .replays = replays_,
                 .deferrals = deferrals_,
                 .threads = whereabouts_,
                 .bell = bell_},
                worker_count(options)),
      runner_(baton_, parts.board, parts.pipes, schedule_, traces_),
      deadlock_(schedule_, whereabouts_),
      crew_({.baton = baton_,
             .bell = bell_,
             .service = service_,
             .whereabouts = whereabouts_,
             .schedule = schedule_,
             .runner = runner_,
             .deadlock = deadlock_,
             .deferrals = deferrals_,
             .pace = pace_,
             .checks = checks_,
             .records = records_,
             .threads = parts.threads,
             .board = parts.board}),
      waits_(schedule_, whereabouts_, deadlock_, crew_) {}

ChipEngine::~ChipEngine() = default;

Result<void> ChipEngine::check_config(const Run& run) const {
  const auto who = [&] { return "run of '" + run.callable->name + "': "; };
  if (run.control_threads > architecture.max_aicpu_threads) {
    return Error(Errc::capacity_exceeded, who() + std::to_string(run.control_threads) + " control threads",
                 "this chip has " + std::to_string(architecture.max_aicpu_threads));
  }
  const std::uint32_t threads = run.control_threads;
  if (threads == 0 || run.block_dim == 0) return {};
  const bool all_schedule = runtime_ == TROUPE_CHIP_RUNTIME_HOST_GRAPH || threads == 1;
  const std::uint32_t schedulers = all_schedule ? threads : threads - 1;
  if (run.block_dim % schedulers == 0) return {};
  return Error(runtime::Errc::invalid_call_config,
               who() + "block_dim " + std::to_string(run.block_dim) + " cannot be divided between " +
                   std::to_string(schedulers) + " scheduler threads",
               "choose a multiple, or fewer control threads");
}

Result<void> ChipEngine::begin(Run& run, std::span<const runtime::Tensor> tensors, RunQueue& queue) {
  runtime_ = run.chip_runtime;
  foreign_ = dynamic_cast<const ForeignProgram*>(run.callable->foreign.get());
  if (foreign_ != nullptr) {
    if (runtime_ != TROUPE_CHIP_RUNTIME_DEFAULT && runtime_ != foreign_->chip_runtime()) {
      return Error(Errc::invalid_argument,
                   "orchestration '" + run.callable->name +
                       "' was compiled for another chip runtime than the run asks for",
                   "leave the runtime of the run to its callable");
    }
    runtime_ = foreign_->chip_runtime();
  }
  if (runtime_ == TROUPE_CHIP_RUNTIME_DEFAULT && run.callable->is_program() && run.callable->graph == nullptr)
    runtime_ = run.callable->descriptor->variant;
  if (run.callable->graph != nullptr) runtime_ = TROUPE_CHIP_RUNTIME_TENSORMAP;  // its edges are known
  if (runtime_ == TROUPE_CHIP_RUNTIME_DEFAULT) runtime_ = TROUPE_CHIP_RUNTIME_TENSORMAP;
  if (runtime_ > TROUPE_CHIP_RUNTIME_CHIP_GRAPH) {
    return Error(Errc::invalid_argument, "chip runtime " + std::to_string(runtime_) + " does not exist");
  }
  if (auto sound = check_config(run); !sound) return sound;
  limits_ = device_limits_;
  if (foreign_ != nullptr && foreign_->rings() != nullptr) {
    auto said = device_limits_.with(*foreign_->rings());
    if (!said) return said.error();
    limits_ = *said;
  }

  program_ = run.callable->id;
  open_graph_ = {};
  recorder_.reset();

  const Lock lock(baton_);
  runtime::TaskGraphConfig config;
  config.arena_bytes = limits_.arenas;
  config.task_window = limits_.task_window;
  // What came as bytes counts the dependencies of each task itself.
  config.edge_limit = foreign_ != nullptr ? 0 : limits_.dependency_pool;
  if (runtime_ == TROUPE_CHIP_RUNTIME_HOST_GRAPH && config.task_window == runtime::limits::task_window) {
    config.task_window = host_graph_window;
  }
  kernels_ = std::make_unique<Host>(crew_, parts_, run);
  table_.begin(run.callable->module);
  traces_.begin(run);
  pace_.begin();
  whereabouts_.begin();
  checks_.begin_run(has_edges_by_hand());
  builder_.begin(tensors, has_edges_by_hand());
  deferrals_.begin(*kernels_, foreign_ != nullptr);
  const std::uint32_t clusters = foreign_ != nullptr ? foreign_->clusters() : architecture.clusters;
  schedule_.begin(config, run.block_dim != 0 ? run.block_dim : clusters, kernels_->flags());
  intermediates_.begin(schedule_.graph(), limits_.arena_bytes);
  runner_.begin(*kernels_);
  deadlock_.begin(kernels_->flags(), config.task_window, config.edge_limit != 0);
  crew_.begin(*kernels_, queue);
  service_.begin();  // the program's thread, whenever it calls
  waits_.begin(has_edges_by_hand(), holds_tasks());
  if (run.aborted.load()) schedule_.fail(aborted("aborted before it started"));
  return {};
}

Result<void> ChipEngine::run(Run& run, std::span<const runtime::Tensor> tensors, RunQueue& queue) {
  if (auto begun = begin(run, tensors, queue); !begun) return begun;
  if (foreign_ != nullptr) {
    run_foreign_program(run, tensors);
  } else if (run.callable->graph != nullptr) {
    replay_launched(run, tensors);
  } else if (run.callable->is_program()) {
    run_program(run, tensors);
  } else {
    submit_blocks(run, tensors);
  }
  finish(run);
  const auto& failure = schedule_.failure();
  if (!failure) return {};
  if (!run.callable->is_program() && *failure == runtime::Errc::require_sync_start_invalid) {
    return Error(Errc::capacity_exceeded, failure->message());
  }
  // Nothing was given up on for being slow, but this is what the other system calls it.
  if (foreign_ != nullptr && *failure == Errc::deadlock)
    return Error(runtime::Errc::scheduler_timeout, failure->message(), failure->hint());
  return *failure;
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
  watch_program(run, [&] {
    if (run.callable->descriptor->invoke.program(&call) == TROUPE_DONE || fatal() != 0) return;
    fail(Error(Errc::kernel_failed, "chip program '" + run.callable->name +
                                        "' failed: " + (text[0] != '\0' ? text : "it gave no reason")));
  });
}

void ChipEngine::run_foreign_program(const Run& run, std::span<const runtime::Tensor> tensors) {
  watch_program(run, [&] {
    if (auto done = foreign_->run(*this, run, tensors); !done && fatal() == 0) fail(done.error());
  });
}

template <class Body>
void ChipEngine::watch_program(const Run& run, Body body) {
  CoreSlot& slot = parts_.board.program();
  slot.enter(run.callable->name.c_str(), 0, ticks());
  const std::uint64_t begin = traces_.traces() ? parts_.host.now() : 0;
  {
    const Telling telling(parts_.host, [&](troupe_running& what) {
      what.what = "chip program";
      what.name = run.callable->name.c_str();
      what.task = run.name.c_str();
      what.core = TROUPE_NO_CORE;
      what.core_kind = TROUPE_CORE_CONTROL;
      what.correlation = run.correlation;
    });
    body();
  }
  slot.leave();
  if (!traces_.traces()) return;
  troupe_trace_event event{};
  event.name = run.callable->name.c_str();
  event.begin_ns = begin;
  event.end_ns = parts_.host.now();
  event.core = TROUPE_NO_CORE;
  event.core_kind = TROUPE_CORE_CONTROL;
  event.block_count = 1;
  event.code = fatal();
  const Turn turn(*this);
  traces_.add(event);
}

void ChipEngine::submit_blocks(const Run& run, std::span<const runtime::Tensor> tensors) {
  std::vector<troupe_chip_argument_v1> arguments(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    pack(tensors[i], arguments[i].tensor);
    arguments[i].tag = run.tensors[i].tag;
  }
  const std::string& name = run.callable->name;
  table_.name(*run.callable);
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

void ChipEngine::replay_launched(const Run& run, std::span<const runtime::Tensor> tensors) {
  const auto& launched = static_cast<const LaunchedGraph&>(*run.callable->graph);
  const auto& graph = launched.graph();
  Turn turn(*this);  // an abort looks at all replays there are
  GraphReplay& replay = replays_.take();
  for (std::size_t i = 0; i < tensors.size(); ++i)
    replay.slots.push_back({tensors[i], static_cast<runtime::Tag>(run.tensors[i].tag)});
  replay.graph = graph;
  replay.name = run.callable->name;
  replay.scalars = run.scalars;
  replay.kinds = run.scalar_kinds;
  for (const auto& kernel : launched.kernels()) replay.kernels.push_back(table_.entry_of(*kernel));
  const std::vector<std::uint8_t> any(run.scalars.size());
  if (const auto wrong = launched.slots().defect(replay.slots, any)) {
    schedule_.fail(
        Error(Errc::bad_task_arguments, "graph '" + run.callable->name + "' does not fit: " + *wrong));
  }
  const bool together = check_together(graph->most_clusters, false) && check_together(graph->most_aivs, true);
  if (!together || fatal() != 0) return replays_.give_back(replay);
  submit_replay(replay, {}, turn.lock());
}

void ChipEngine::finish(Run& run) {
  {
    Lock lock(baton_);
    schedule_.join();
    if (!schedule_.failure()) {
      schedule_.release_held();
      schedule_.graph().close();
    }
    whereabouts_.program_runs = false;
    service_.end();
    crew_.serve(lock, Crew::Role::main, [this] { return crew_.is_finished(); });
    run.chip_tasks = schedule_.kernels_run();
    schedule_.end_run();
    bell_.ring();
    kernels_.reset();
  }
  table_.end();
  if (foreign_ != nullptr) traces_.tell_times(run.callable->name);
  if (traces_.traces()) traces_.deliver();  // without the baton: the host may ask for the status meanwhile
}

std::optional<std::uint64_t> ChipEngine::progress() {
  const Lock lock(baton_);
  if (whereabouts_.program_works() || whereabouts_.executing != deferrals_.active()) return std::nullopt;
  const auto status = schedule_.graph().status();
  return status.submitted - status.live;
}

void ChipEngine::look_at_deferred(const std::function<void(const CoreSlot&)>& look) const {
  const Lock lock(baton_);
  deferrals_.for_each_slot(look);
}

void ChipEngine::memory_written() noexcept {
  const Lock lock(baton_);
  if (schedule_.is_active()) look_again();
}

void ChipEngine::look_again() noexcept { kernels_->flags().look_again(); }

void ChipEngine::interrupt(const Run& run) noexcept {
  const Lock lock(baton_);
  if (!schedule_.is_active() || &kernels_->run() != &run) return;
  schedule_.abort();
  kernels_->interrupt();
}

}  // namespace troupe::platform::sim
