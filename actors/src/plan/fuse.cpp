// Which tasks of a plan become one step.
#include "plan/fuse.hpp"

#include <algorithm>
#include <map>
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
  bool is_open = false;  ///< others may join it
  std::set<PlanRoot> roots = {};
};

class Fuser {
 public:
  explicit Fuser(const Analysed& of) : of_(of) {}

  std::vector<PlanStep> steps() {
    const auto count = static_cast<std::uint32_t>(of_.recording.tasks.size());
    part_of_.resize(count);
    for (std::uint32_t task = 0; task < count; ++task) place(task);
    find_users();
    for (auto& part : parts_) emit(part);
    // By stage, and as the program had them.
    std::stable_sort(made_.begin(), made_.end(), [](const Made& a, const Made& b) {
      return std::pair(a.stage, a.first) < std::pair(b.stage, b.first);
    });
    return in_order();
  }

 private:
  /// Where a task runs with those that become one with it, and how urgent it is.
  using Place = std::pair<std::int64_t, std::int64_t>;
  struct Made {
    std::uint32_t stage = 0, first = 0;
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
    add_roots(task, parts_.back().roots);
    open_[*where] = number;
  }

  bool joins(std::uint32_t task, std::uint32_t number) {
    auto& part = parts_[number];
    for (const auto producer : of_.producers[task]) {
      if (part_of_[producer] != number && parts_[part_of_[producer]].stage >= part.stage) return false;
    }
    auto roots = part.roots;
    add_roots(task, roots);
    if (roots.size() > most_roots) return false;
    part.roots = std::move(roots);
    return true;
  }
  void add_roots(std::uint32_t task, std::set<PlanRoot>& roots) const {
    for (const auto& root : of_.roots[task]) {
      if (root.kind == PlanRoot::Kind::slot || root.kind == PlanRoot::Kind::captured) roots.insert(root);
    }
  }

  /// Which part alone uses an intermediate.
  void find_users() {
    constexpr auto nobody = ~std::uint32_t{0}, several = nobody - 1;
    std::vector<std::uint32_t> user(of_.image.intermediates.size(), nobody);
    for (std::uint32_t task = 0; task < part_of_.size(); ++task) {
      for (const auto& root : of_.roots[task]) {
        if (root.kind != PlanRoot::Kind::intermediate) continue;
        auto& known = user[root.index];
        known = known == nobody || known == part_of_[task] ? part_of_[task] : several;
      }
    }
    user_ = std::move(user);
  }

  void emit(Part& part) {
    if (part.is_open && part.tasks.size() > 1) {
      std::vector<bool> local(user_.size());
      for (std::size_t i = 0; i < user_.size(); ++i) local[i] = user_[i] == part_of_[part.tasks.front()];
      Made made{part.stage, part.tasks.front(), part.tasks, {}};
      auto bundle = std::make_shared<Bundle>();
      if (make_bundle(of_, part.tasks, local, *bundle, made.step)) {
        auto callable = std::make_shared<Callable>();
        callable->name = of_.image.name;
        callable->kind = CallableKind::chip;
        callable->bundle = std::move(bundle);
        made.step.callable = callable.get();
        made.step.call.more().owned = std::move(callable);
        made.step.tasks = static_cast<std::uint32_t>(part.tasks.size());
        made_.push_back(std::move(made));
        return;
      }
    }
    for (const auto task : part.tasks) {
      const auto& it = of_.recording.tasks[task];
      PlanStep step;
      step.callable = it.callable;
      step.call = it.call;
      step.members = it.members;
      step.chips = it.chips;
      step.roots = of_.roots[task];
      made_.push_back({part.stage, task, {task}, std::move(step)});
    }
  }

  /// The explicit edges between steps: the others show in their arguments.
  std::vector<PlanStep> in_order() {
    std::vector<std::uint32_t> step_of(part_of_.size());
    for (std::uint32_t i = 0; i < made_.size(); ++i) {
      for (const auto task : made_[i].tasks) step_of[task] = i;
    }
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
  std::vector<std::uint32_t> user_;
  std::vector<Made> made_;
};

}  // namespace

std::vector<PlanStep> fuse(const Analysed& of) { return Fuser(of).steps(); }

}  // namespace troupe::actors
