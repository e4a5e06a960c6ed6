// Which tasks of a plan become one step.
#include "plan/fuse.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <utility>

#include "troupe/actors/domain_spec.hpp"

namespace troupe::actors {
namespace {

/// Tensors of others that the tasks of one step use, at most: a step has them as its arguments.
constexpr std::size_t most_roots = 24;

/// Tasks of one step. A step comes after those of lower stages alone, so that no two wait for each other.
struct Part {
  std::uint32_t stage = 0;
  std::vector<std::uint32_t> tasks;
  bool is_open = false;                 ///< others may join it
  std::map<PlanRoot, bool> roots = {};  ///< whether they write them
};

class Fuser {
 public:
  explicit Fuser(const Analysed& of) : of_(of) {}

  std::vector<PlanStep> steps() {
    const auto count = static_cast<std::uint32_t>(of_.recording.tasks.size());
    part_of_.resize(count);
    for (std::uint32_t task = 0; task < count; ++task) place(task);
    find_users();
    // Tasks that became one hold the memory of all of them. The fewer they are the less they hold at a time,
    // and one by one they hold what they held when they were recorded.
    const auto arena = of_.recording.arena_bytes;
    const auto enough = std::max(most_of_tasks(), arena / 2);
    for (auto between = arena / 4;; between = between < arena / 64 ? 0 : between / 4) {
      made_.clear();
      for (const auto& part : parts_) emit(part, between);
      put_in_order();
      if (between == 0 || most_of_steps() <= enough) break;
    }
    return with_edges();
  }

 private:
  /// Where a task runs with those that become one with it, and how urgent it is.
  using Place = std::pair<std::int64_t, std::int64_t>;
  struct Made {
    std::vector<std::uint32_t> tasks;
    PlanStep step;
  };

  std::optional<Place> place_of(const RecordedTask& task) const {
    const auto& callable = *task.callable;
    const auto& call = task.call;
    if (callable.kind != CallableKind::chip || callable.data_task != DataTask::none || callable.bundle ||
        !task.members.empty() || !call.args.domains.empty() || call.deadline || call.retry ||
        call.args.values.scalars.size() > 64)
      return std::nullopt;
    std::int64_t chip = call.target ? call.target->index : -1;
    for (const auto& operand : call.args.values.tensors) {
      if (operand.tag == runtime::Tag::no_dep) return std::nullopt;
      const auto home = chip_with_arena(of_.image.node, operand.tensor.buffer().arena);
      if (home < 0) continue;
      if (chip >= 0 && home != chip) return std::nullopt;  // copied for it
      chip = home;
    }
    if (chip < 0 && !of_.recording.one_chip) return std::nullopt;
    return Place(chip, call.priority.value);
  }

  void place(std::uint32_t task) {
    std::uint32_t stage = 0;
    for (const auto producer : of_.producers[task])
      stage = std::max(stage, parts_[part_of_[producer]].stage + 1);
    const auto where = place_of(of_.recording.tasks[task]);
    if (where) {
      if (const auto open = open_.find(*where); open != open_.end() && joins(task, open->second)) {
        part_of_[task] = open->second;
        return parts_[open->second].tasks.push_back(task);
      }
    }
    const auto number = static_cast<std::uint32_t>(parts_.size());
    parts_.push_back({stage, {task}, where.has_value()});
    part_of_[task] = number;
    if (!where) return;
    if (!add_roots(task, parts_.back().roots)) {
      parts_.back().is_open = false;
      return;
    }
    open_[*where] = number;
  }

  bool joins(std::uint32_t task, std::uint32_t number) {
    auto& part = parts_[number];
    for (const auto producer : of_.producers[task]) {
      if (part_of_[producer] != number && parts_[part_of_[producer]].stage >= part.stage) return false;
    }
    auto roots = part.roots;
    if (!add_roots(task, roots) || roots.size() > most_roots) return false;
    part.roots = std::move(roots);
    return true;
  }
  /// Whether they can be arguments of one task: parameters that share bytes which it writes cannot, as each
  /// argument says only of itself what is done with it.
  bool add_roots(std::uint32_t task, std::map<PlanRoot, bool>& roots) const {
    const auto& operands = of_.recording.tasks[task].call.args.values.tensors;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const auto& root = of_.roots[task][i];
      if (root.kind == PlanRoot::Kind::slot || root.kind == PlanRoot::Kind::captured)
        roots[root] |= runtime::writes(operands[i].tag);
    }
    for (auto one = roots.begin(); one != roots.end() && one->first.kind == PlanRoot::Kind::slot; ++one) {
      for (auto other = roots.begin(); other != one; ++other) {
        if ((one->second || other->second) && share_bytes(one->first.index, other->first.index)) return false;
      }
    }
    return true;
  }
  bool share_bytes(std::uint32_t one, std::uint32_t other) const {
    const auto &a = of_.image.parameters[one], &b = of_.image.parameters[other];
    return a.memory != 0 && a.memory == b.memory && runtime::overlaps(box_in(a.tensor), box_in(b.tensor));
  }

  void find_users() {
    users_.resize(of_.image.intermediates.size());
    for (std::uint32_t task = 0; task < part_of_.size(); ++task) {
      for_intermediates(of_.roots[task], [&](std::uint32_t index) {
        if (users_[index].empty() || users_[index].back() != task) users_[index].push_back(task);
      });
    }
  }
  template <class Visit>
  static void for_intermediates(const std::vector<PlanRoot>& roots, Visit visit) {
    for (const auto& root : roots) {
      if (root.kind == PlanRoot::Kind::intermediate) visit(root.index);
    }
  }
  std::uint64_t bytes_of(std::uint32_t intermediate) const {
    constexpr std::uint64_t alignment = runtime::limits::block_alignment;
    const auto& it = of_.image.intermediates[intermediate];
    return (it.shape.elements().value() * runtime::size_of(it.dtype) + alignment - 1) / alignment * alignment;
  }

  /// What a step needs.
  struct Need {
    const std::vector<PlanRoot>* roots = nullptr;
    std::uint64_t workspace = 0;
  };
  /// The bytes of intermediates that there are at a time, when these come one after the other.
  std::uint64_t most_at_once(const std::vector<Need>& needs) const {
    constexpr auto nobody = ~std::size_t{0};
    std::vector<std::size_t> first(users_.size(), nobody), last(users_.size(), nobody);
    for (std::size_t i = 0; i < needs.size(); ++i) {
      for_intermediates(*needs[i].roots, [&](std::uint32_t index) {
        if (first[index] == nobody) first[index] = i;
        last[index] = i;
      });
    }
    std::uint64_t now = 0, most = 0;
    for (std::size_t i = 0; i < needs.size(); ++i) {
      for_intermediates(*needs[i].roots, [&](std::uint32_t index) {
        if (std::exchange(first[index], nobody) == i) now += bytes_of(index);
      });
      most = std::max(most, now + needs[i].workspace);
      for_intermediates(*needs[i].roots, [&](std::uint32_t index) {
        if (last[index] == i) now -= bytes_of(index), last[index] = nobody;
      });
    }
    return most;
  }
  std::uint64_t most_of_tasks() const {
    std::vector<Need> needs;
    for (const auto& roots : of_.roots) needs.push_back({&roots});
    return most_at_once(needs);
  }
  std::uint64_t most_of_steps() const {
    std::vector<Need> needs;
    for (const auto& made : made_) {
      const auto& workspace = made.step.workspace;
      needs.push_back({&made.step.roots, workspace ? workspace->shape.elements().value() * 8 : 0});
    }
    return most_at_once(needs);
  }

  /// The steps of a part: one, if those after it need no more than `between` bytes of it. 0: each task alone.
  void emit(const Part& part, std::uint64_t between) {
    if (!part.is_open || part.tasks.size() == 1 || between == 0) return emit_alone(part.tasks);
    std::set<std::uint32_t> used;
    const auto use = [&](std::uint32_t task) {
      for_intermediates(of_.roots[task], [&](std::uint32_t index) { used.insert(index); });
    };
    const auto bytes = [&] {
      std::uint64_t all = 0;
      for (const auto index : used) all += bytes_of(index);
      return all;
    };
    for (const auto task : part.tasks) use(task);
    std::erase_if(used, [&](std::uint32_t index) { return is_used_by(part.tasks, index); });
    if (bytes() <= between) return emit_together(part.tasks);
    used.clear();
    std::vector<std::uint32_t> tasks;
    for (const auto task : part.tasks) {
      use(task);
      if (!tasks.empty() && bytes() > between) {
        emit_together(std::exchange(tasks, {}));
        used.clear();
        use(task);
      }
      tasks.push_back(task);
    }
    emit_together(tasks);
  }
  /// And by no others. `tasks` is sorted.
  bool is_used_by(const std::vector<std::uint32_t>& tasks, std::uint32_t intermediate) const {
    return std::includes(tasks.begin(), tasks.end(), users_[intermediate].begin(),
                         users_[intermediate].end());
  }

  void emit_together(const std::vector<std::uint32_t>& tasks) {
    if (tasks.size() == 1) return emit_alone(tasks);
    std::vector<bool> local(users_.size());
    for (const auto task : tasks) {
      for_intermediates(of_.roots[task],
                        [&](std::uint32_t index) { local[index] = is_used_by(tasks, index); });
    }
    Made made{tasks, {}};
    auto bundle = std::make_shared<Bundle>();
    if (!make_bundle(of_, tasks, local, *bundle, made.step)) return emit_alone(tasks);
    auto callable = std::make_shared<Callable>();
    callable->name = of_.image.name;
    callable->kind = CallableKind::chip;
    callable->bundle = std::move(bundle);
    made.step.callable = callable.get();
    made.step.call.more().owned = std::move(callable);
    made.step.tasks = static_cast<std::uint32_t>(tasks.size());
    made_.push_back(std::move(made));
  }

  void emit_alone(const std::vector<std::uint32_t>& tasks) {
    for (const auto task : tasks) {
      const auto& it = of_.recording.tasks[task];
      PlanStep step;
      step.callable = it.callable;
      step.call = it.call;
      step.members = it.members;
      step.chips = it.chips;
      step.roots = of_.roots[task];
      // What a replay is given has its own; what the plan keeps is kept by its roots.
      step.call.args.holds.clear();
      for (auto& member : step.members) member.holds.clear();
      made_.push_back({{task}, std::move(step)});
    }
  }

  /// As the program had them, by their first tasks, each behind those that it needs.
  void put_in_order() {
    const auto step_of = steps_of_tasks();
    std::vector<std::vector<std::uint32_t>> behind(made_.size());
    std::vector<std::size_t> waits_for(made_.size());
    for (std::uint32_t i = 0; i < made_.size(); ++i) {
      for (const auto task : made_[i].tasks) {
        for (const auto producer : of_.producers[task]) {
          if (step_of[producer] == i) continue;
          behind[step_of[producer]].push_back(i);
          ++waits_for[i];
        }
      }
    }
    using First = std::pair<std::uint32_t, std::uint32_t>;  // task, step
    std::priority_queue<First, std::vector<First>, std::greater<>> ready;
    const auto add = [&](std::uint32_t step) { ready.emplace(made_[step].tasks.front(), step); };
    for (std::uint32_t i = 0; i < made_.size(); ++i) {
      if (waits_for[i] == 0) add(i);
    }
    std::vector<Made> ordered;
    ordered.reserve(made_.size());
    for (; !ready.empty();) {
      const auto step = ready.top().second;
      ready.pop();
      for (const auto next : behind[step]) {
        if (--waits_for[next] == 0) add(next);
      }
      ordered.push_back(std::move(made_[step]));
    }
    made_ = std::move(ordered);
  }
  std::vector<std::uint32_t> steps_of_tasks() const {
    std::vector<std::uint32_t> step_of(part_of_.size());
    for (std::uint32_t i = 0; i < made_.size(); ++i) {
      for (const auto task : made_[i].tasks) step_of[task] = i;
    }
    return step_of;
  }

  /// The explicit edges between steps: the others show in their arguments.
  std::vector<PlanStep> with_edges() {
    const auto step_of = steps_of_tasks();
    std::vector<PlanStep> steps;
    for (std::uint32_t i = 0; i < made_.size(); ++i) {
      auto& step = made_[i].step;
      for (const auto task : made_[i].tasks) {
        for (const auto before : of_.recording.tasks[task].after) {
          if (step_of[before] != i) step.after.push_back(step_of[before]);
        }
      }
      std::sort(step.after.begin(), step.after.end());
      step.after.erase(std::unique(step.after.begin(), step.after.end()), step.after.end());
      step.after.shrink_to_fit();
      steps.push_back(std::move(step));
    }
    return steps;
  }

  const Analysed& of_;
  std::vector<Part> parts_;
  std::vector<std::uint32_t> part_of_;  ///< by task
  std::map<Place, std::uint32_t> open_;
  std::vector<std::vector<std::uint32_t>> users_;  ///< of intermediates: tasks, sorted
  std::vector<Made> made_;
};

}  // namespace

std::vector<PlanStep> fuse(const Analysed& of) { return Fuser(of).steps(); }

}  // namespace troupe::actors
