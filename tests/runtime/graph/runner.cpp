#include <algorithm>
#include <array>
#include <deque>
#include <optional>

#include "runtime/graph/memory_watch.hpp"
#include "runtime/graph/oracle.hpp"
#include "runtime/graph/program.hpp"
#include "troupe/runtime/task_graph.hpp"

// Runs a program through the graph, in a random legal order with pretended executors, and watches: no byte is
// written while another running task uses it, nothing runs twice, without memory, or not at all.
namespace troupe::test {

using namespace runtime;

namespace {

enum class TestErrc : std::int32_t { broken = 1, stopped = 2 };
std::string_view error_name(TestErrc code) { return code == TestErrc::broken ? "broken" : "stopped"; }

class Runner {
 public:
  Runner(const Program& program, std::uint64_t seed, TaskGraph& graph)
      : program_(program),
        random_(seed),
        graph_(graph),
        watch_(Program::external_bytes + limits::arenas * program.arena_bytes),
        tasks_(program.tasks),
        refs_(program.buffers),
        queues_(program.executors) {
    graph_.restart(
        {.arena_bytes = {program.arena_bytes, program.arena_bytes, program.arena_bytes, program.arena_bytes},
         .block_alignment = program.alignment,
         .task_window = program.window});
    // Each executor wants intermediates dirty: whoever reads before writing shows.
    Memory& memory = watch_.values();
    for (std::size_t i = Program::external_bytes; i < memory.size(); ++i) memory[i] = 0xDEAD;
    in_order_ = chance(random_, 60);
    // Sometimes all buffers have one address, and only their generation tells them apart.
    const bool one_address = program.exact && chance(random_, 30);
    for (std::uint32_t b = 0; b < program.externals.size(); ++b) {
      refs_[b] = one_address ? BufferRef{1, b + 1, 0} : BufferRef{1, 0, program.externals[b].address};
    }
  }

  std::string run() {
    while (complaint_.empty() && step()) {
    }
    if (complaint_.empty()) finish();
    return complaint_;
  }

 private:
  struct Task {
    const Op* op = nullptr;
    TaskId id;
    Outcome outcome = Outcome::open;
    bool submitted = false, started = false, running = false, cancel_asked = false;
    std::uint32_t members_left = 0, events_left = 0;
    Footprint footprint;
    std::vector<std::uint64_t> bases;  // of its uses
  };

  void complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what;
  }

  bool step() {
    // Random, but everything that is possible gets its turn; what is not possible is tried again as another.
    const std::uint64_t first = below(random_, 6);
    for (std::uint64_t k = 0; k < 6; ++k) {
      bool did = false;
      switch ((first + k) % 6) {
        case 0:
        case 1:
          did = next_op();
          break;
        case 2:
          did = start_unordered();
          break;
        case 3:
          did = in_order_ ? enqueue() : start_unordered();
          break;
        case 4:
          did = progress_running();
          break;
        default:
          did = k == 5 || chance(random_, 30) ? signal_one() : false;
          break;
      }
      collect();
      if (did || !complaint_.empty()) return complaint_.empty();
    }
    if (signal_one()) return true;
    if (running_.empty() && queues_empty()) return stuck();
    return true;
  }

  bool next_op() {
    if (cursor_ == program_.ops.size()) return false;
    const Op& op = program_.ops[cursor_];
    switch (op.kind) {
      case Op::Kind::task:
        if (!graph_.has_room()) return false;
        submit(op);
        break;
      case Op::Kind::alloc:
        if (auto ref = graph_.alloc(op.bytes); ref) {
          refs_[op.id] = *ref;
        } else if (!(ref.error() == Errc::heap_ring_deadlock)) {
          complain(ref.error().what());
        }
        break;
      case Op::Kind::release:
        (void)graph_.release(refs_[op.id]);
        break;
      case Op::Kind::begin_scope:
        (void)graph_.begin_scope();
        break;
      case Op::Kind::end_scope:
        (void)graph_.end_scope();
        break;
      case Op::Kind::cancel:
        cancel(op.id);
        break;
    }
    ++cursor_;
    if (cursor_ == program_.ops.size()) graph_.close();
    return true;
  }

  void submit(const Op& op) {
    Task& task = tasks_[op.id];
    std::vector<Access> accesses;
    std::deque<Box> boxes;
    for (const Use& use : op.uses) {
      boxes.push_back(use.view.box());
      const Box& box = boxes.back();
      const std::uint32_t b = use.view.buffer;
      if (b >= program_.externals.size() && !refs_[b].allocated()) return;  // was refused
      std::uint64_t bytes = b < program_.externals.size() ? program_.externals[b].bytes : box.hi;
      // An owner may know a larger or a smaller buffer around the view; dependencies must not care.
      if (b < program_.externals.size() && chance(random_, 30)) bytes = box.hi;
      accesses.push_back(
          {refs_[b], bytes, box.lo, box.hi, box.rank != 0 || box.hull ? &box : nullptr, use.tag});
    }
    std::vector<TaskId> after;
    for (const std::uint32_t t : op.after) {
      if (tasks_[t].submitted) after.push_back(tasks_[t].id);
    }
    const bool is_free = graph_.is_free(accesses);
    const auto id = graph_.submit({.cookie = op.id,
                                   .kind = static_cast<std::uint8_t>(op.ready_kind),
                                   .priority = op.priority,
                                   .members = op.members,
                                   .events = op.events,
                                   .executor = op.executor,
                                   .node_only = op.node_only,
                                   .accesses = accesses,
                                   .after = after});
    if (!id) {
      // Only memory that can never fit, and intermediates that were never given out.
      if (!(id.error() == Errc::heap_ring_deadlock) && !(id.error() == Errc::invalid_args))
        complain(id.error().what());
      if (program_.never_stuck) complain(std::string("refused: ") + id.error().what());
      return;
    }
    if (is_free && after.empty() && op.events == 0 && graph_.state(*id) == runtime::TaskState::pending)
      complain("a task waits whose accesses were free");
    task.op = &op;
    task.id = *id;
    task.submitted = true;
    task.members_left = op.members;
    task.events_left = op.events;
  }

  void cancel(std::uint32_t t) {
    Task& task = tasks_[t];
    if (!task.submitted) return;
    const bool waits =
        graph_.state(task.id) != TaskState::none && graph_.state(task.id) != TaskState::running;
    if (graph_.cancel(task.id, Error(TestErrc::stopped, "stop t" + std::to_string(t))) != waits) {
      complain("cancel of t" + std::to_string(t) + " lied");
    }
    if (waits) task.cancel_asked = true;
  }

  bool start_unordered() {
    if (running_.size() >= 4) return false;
    const auto kind = static_cast<std::uint8_t>(in_order_ ? 1 : below(random_, 2));
    Work work = graph_.pop_ready(kind);
    if (!work && !in_order_) work = graph_.pop_ready(static_cast<std::uint8_t>(1 - kind));
    if (!work) return false;
    if (chance(random_, 5)) {
      if (!graph_.requeue(work.id)) complain("requeue refused");
      return true;
    }
    popped(work);
    running_.push_back(static_cast<std::uint32_t>(work.cookie));
    start(tasks_[work.cookie]);
    return true;
  }

  // Kind 0 goes to FIFO executors, ahead of its producers where the graph offers it.
  bool enqueue() {
    const auto e = static_cast<ExecutorId>(below(random_, program_.executors));
    Work work = chance(random_, 70) ? graph_.pop_in_order(e) : Work{};
    const bool ahead = static_cast<bool>(work);
    if (!work) work = graph_.pop_ready(0);
    if (!work) return false;
    if (chance(random_, 5)) return graph_.requeue(work.id);
    popped(work);
    ExecutorId to = e;
    if (const std::uint32_t bound = tasks_[work.cookie].op->executor; bound != any_executor) {
      if (ahead && bound != e) complain("offered to another executor than it is bound to");
      to = bound;
    }
    if (!graph_.dispatched(work.id, to)) complain("dispatched() refused");
    queues_[to].push_back(static_cast<std::uint32_t>(work.cookie));
    return true;
  }

  void popped(const Work& work) {
    Task& task = tasks_[work.cookie];
    if (task.running || task.outcome != Outcome::open)
      complain("t" + std::to_string(work.cookie) + " popped twice");
    task.running = true;
  }

  void start(Task& task) {
    task.started = true;
    if (graph_.is_poisoned(task.id)) return;
    for (const Use& use : task.op->uses) {
      std::uint64_t base = 0;
      if (use.view.buffer < program_.externals.size()) {
        base = program_.externals[use.view.buffer].address;
      } else {
        const auto place = graph_.placement(refs_[use.view.buffer]);
        if (!place) return complain("t" + std::to_string(task.op->id) + " runs without memory");
        base = Program::external_bytes + place->arena * program_.arena_bytes + place->offset;
      }
      task.bases.push_back(base);
      if (use.tag == Tag::no_dep) continue;
      for (const std::uint32_t byte : use.view.bytes()) {
        (writes(use.tag) ? task.footprint.written : task.footprint.read).push_back(base + byte);
      }
    }
    if (const std::string wrong = watch_.begin(task.footprint); !wrong.empty()) {
      complain("t" + std::to_string(task.op->id) + " " + wrong);
    }
  }

  bool progress_running() {
    std::vector<std::uint32_t*> fronts;
    for (std::uint32_t& t : running_) fronts.push_back(&t);
    for (auto& queue : queues_) {
      if (!queue.empty()) fronts.push_back(&queue.front());
    }
    if (fronts.empty()) return false;
    const std::uint32_t t = *fronts[below(random_, fronts.size())];
    Task& task = tasks_[t];
    if (!task.started) {
      start(task);
      return true;
    }
    // The last member carries the effect.
    if (task.members_left == 1) effect(task);
    const bool fails = task.op->fails && (task.members_left == 1 || chance(random_, 50));
    const bool skipped = graph_.is_poisoned(task.id);
    const std::string before = "t" + std::to_string(t);
    if (--task.members_left == 0) {
      task.running = false;
      std::erase(running_, t);
      for (auto& queue : queues_) {
        if (!queue.empty() && queue.front() == t) queue.pop_front();
      }
      task.outcome = skipped ? Outcome::poisoned : task.op->fails ? Outcome::failed : Outcome::done;
    }
    bool taken = false;
    if (fails && !skipped) {
      taken = graph_.fail(task.id, Error(TestErrc::broken, before + " broke"));
    } else if (!in_order_ && chance(random_, 50)) {
      taken = true;
      if (const Work next = graph_.complete_and_pop(task.id)) {
        popped(next);
        running_.push_back(static_cast<std::uint32_t>(next.cookie));
        start(tasks_[next.cookie]);
      }
    } else {
      taken = graph_.complete(task.id);
    }
    if (!taken) complain("the answer of " + before + " was refused");
    if (task.members_left == 0 && graph_.complete(task.id))
      complain("a second answer of " + before + " was taken");
    return true;
  }

  void effect(Task& task) {
    watch_.end(task.footprint);
    if (graph_.is_poisoned(task.id)) return;
    if (task.op->fails) {
      for (const std::size_t p : task.footprint.written) watch_.values()[p] = 0xBAD;
      return;
    }
    const Op& op = *task.op;
    execute(op, watch_.values(), [&](const Use& use, std::uint32_t byte) {
      return task.bases[static_cast<std::size_t>(&use - op.uses.data())] + byte;
    });
  }

  bool signal_one() {
    std::vector<Task*> waiting;
    for (Task& task : tasks_) {
      if (task.submitted && task.events_left > 0) waiting.push_back(&task);
    }
    if (waiting.empty()) return false;
    Task& task = *waiting[below(random_, waiting.size())];
    --task.events_left;
    const bool known = task.outcome == Outcome::open && !task.cancel_asked;
    if (graph_.signal(task.id) != known && known) complain("signal refused");
    return true;
  }

  void collect() {
    while (auto ended = graph_.pop_ended()) {
      Task& task = tasks_[ended->cookie];
      const std::string who = "t" + std::to_string(ended->cookie);
      if (task.outcome != Outcome::open || task.running) complain(who + " ended twice");
      if (!ended->error) {
        if (!task.op->node_only) complain(who + " ended without being run");
        task.outcome = Outcome::done;
        continue;
      }
      task.outcome = *ended->error == Errc::cancelled ? Outcome::cancelled : Outcome::poisoned;
      if (task.outcome == Outcome::cancelled && !task.cancel_asked) complain(who + " was never cancelled");
      const auto root = ended->error->root().code().value;
      if (root != 1 && root != 2) complain(who + " has a cause that no one gave: " + render(*ended->error));
    }
  }

  bool queues_empty() const {
    return std::all_of(queues_.begin(), queues_.end(), [](const auto& q) { return q.empty(); });
  }

  // Nothing can be done: the end, or out of memory.
  bool stuck() {
    const GraphStatus status = graph_.status();
    if (status.live == 0)
      return cursor_ != program_.ops.size() ? (complain("submit blocks without cause"), false) : false;
    const auto error = graph_.deadlock();
    if (!error || !(*error == Errc::heap_ring_deadlock) || status.blocked == 0) {
      complain("no one can go on, and deadlock() says " + std::string(error ? error->what() : "nothing"));
      return false;
    }
    if (program_.never_stuck) {
      complain("stuck with enough memory: " + render(*error));
      return false;
    }
    graph_.cancel_all(Error(TestErrc::stopped, "stuck"));
    for (Task& task : tasks_) {
      if (task.submitted && task.outcome == Outcome::open) task.cancel_asked = true;
    }
    while (auto ended = graph_.pop_ended()) {
      const bool poisoned = ended->error && *ended->error == Errc::poisoned;
      tasks_[ended->cookie].outcome = poisoned ? Outcome::poisoned : Outcome::cancelled;
    }
    cursor_ = program_.ops.size();
    graph_.close();
    return graph_.status().live != 0;
  }

  void finish();

  const Program& program_;
  Random random_;
  TaskGraph& graph_;
  MemoryWatch watch_;
  std::vector<Task> tasks_;
  std::vector<BufferRef> refs_;
  std::vector<std::deque<std::uint32_t>> queues_;
  std::vector<std::uint32_t> running_;
  std::size_t cursor_ = 0;
  bool in_order_ = false;
  std::string complaint_;
};

void Runner::finish() {
  std::vector<TaskResult> results;
  std::array<std::uint64_t, 5> counts{};
  for (const Task& task : tasks_) {
    results.push_back({task.submitted, task.outcome});
    counts[static_cast<std::size_t>(task.outcome)] += task.submitted ? 1 : 0;
  }
  complain(check_against_oracle(program_, results, watch_.values()));
  const GraphStatus status = graph_.status();
  if (status.live != 0 || status.completed != counts[1] || status.failed != counts[2] ||
      status.poisoned != counts[3] || status.cancelled != counts[4]) {
    complain("the status counts other tasks than ended");
  }
  if (graph_.memory_map().find("handle") != std::string::npos ||
      graph_.memory_map().find(" uses by") != std::string::npos) {
    complain("memory is held after the end:\n" + graph_.memory_map());
  }
}

}  // namespace

std::string run_program(const Program& program, std::uint64_t schedule_seed) {
  TaskGraph graph;
  return run_program(program, schedule_seed, graph);
}

std::string run_program(const Program& program, std::uint64_t schedule_seed, TaskGraph& graph) {
  return Runner(program, schedule_seed, graph).run();
}

}  // namespace troupe::test
