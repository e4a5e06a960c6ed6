// From a plan to what a file has of it: steps become tasks again.
#include <algorithm>
#include <map>
#include <utility>

#include "plan/saved.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/plan.hpp"
#include "whole_file.hpp"

namespace troupe::actors {
namespace {

/// Explicit edges between steps are those of all their tasks: with more than this many a file is too large.
constexpr std::size_t most_edges = 1U << 24U;

class Saver {
 public:
  explicit Saver(const PlanImage& image) : image_(image) {}

  SavedPlan save() {
    plan_.name = image_.name;
    find_pieces();
    for (const auto& it : image_.parameters) plan_.parameters.push_back(parameter(it));
    for (const auto& step : image_.steps) {
      step_ = &step;
      steps_.emplace_back();
      if (step.callable->bundle) {
        add_bundle(*step.callable->bundle);
      } else {
        add_task();
      }
    }
    return std::move(plan_);
  }

 private:
  /// The first and last tasks of a step: those that come after none of it, and those that none of it follows.
  struct Ends {
    std::vector<std::uint32_t> first, last;
  };
  /// Bytes of an intermediate that overlap none beside them: an intermediate of its own.
  struct Piece {
    std::uint64_t end = 0;
    std::uint32_t number = 0;
  };
  static constexpr std::uint64_t alignment = runtime::limits::block_alignment;

  [[noreturn]] void refuse(const std::string& what, const std::string& hint) const {
    throw Error(Errc::bad_argument, "plan \"" + image_.name + "\" cannot be saved: " + what, hint);
  }

  /// Calls `visit(operand, root)` for each tensor of each task. That of a workspace lies in no buffer yet.
  template <class Visit>
  void for_each_view(const PlanStep& step, Visit visit) const {
    if (step.callable->bundle) {
      const auto& bundle = *step.callable->bundle;
      const auto whole = arguments_of(step);
      for (const auto tensor : bundle.tensors)
        visit(bundle.operand(tensor, whole), step.roots[bundle.views[tensor >> Bundle::tag_bits].argument]);
      return;
    }
    std::size_t next = 0;
    const auto all = [&](const Args& args) {
      for (const auto& operand : args.values.tensors) visit(operand, step.roots[next++]);
    };
    all(step.call.args);
    for (const auto& member : step.members) all(member);
  }
  /// With a place for what is made with each replay, so that views of it can be.
  Arguments arguments_of(const PlanStep& step) const {
    auto whole = step.call.args.values;
    for (auto& operand : whole.tensors) {
      const auto& tensor = operand.tensor;
      if (tensor.allocated() || tensor.bytes() == 0) continue;
      operand.tensor = tensor.in_buffer(runtime::BufferRef::host(&plan_));
    }
    return whole;
  }

  /// What shared one block for want of memory, or to be one argument, is apart again where its bytes are.
  void find_pieces() {
    std::vector<std::map<std::uint64_t, std::uint64_t>> used(image_.intermediates.size());  // begin, end
    std::vector<bool> as_one(used.size());
    for (const auto& step : image_.steps) {
      for_each_view(step, [&](const Operand& operand, const PlanRoot& root) {
        if (root.kind != PlanRoot::Kind::intermediate) return;
        // Whoever says nothing of dependencies may look beside its view.
        if (operand.tag == runtime::Tag::no_dep) as_one[root.index] = true;
        const auto begin = operand.tensor.byte_offset();
        join(used[root.index], begin, begin + operand.tensor.byte_extent());
      });
    }
    for (std::size_t i = 0; i < used.size(); ++i) {
      const auto& it = image_.intermediates[i];
      const auto bytes = runtime::Tensor::unallocated(it.shape, it.dtype).bytes();
      auto& pieces = pieces_.emplace_back();
      const bool whole = used[i].size() == 1 && used[i].begin()->first < alignment;
      if (whole || as_one[i] || used[i].empty()) {
        pieces.emplace(0, Piece{bytes, intermediate(it.shape, it.dtype)});
        continue;
      }
      for (const auto& [begin, end] : used[i]) {
        const auto aligned = begin / alignment * alignment;
        const auto words = (end - aligned + 7) / 8;
        pieces.emplace(begin, Piece{end, intermediate(runtime::Shape(words), runtime::DType::u64)});
      }
    }
  }
  static void join(std::map<std::uint64_t, std::uint64_t>& ranges, std::uint64_t begin, std::uint64_t end) {
    auto at = ranges.lower_bound(begin);
    if (at != ranges.begin() && std::prev(at)->second > begin) --at;
    while (at != ranges.end() && at->first < end) {
      begin = std::min(begin, at->first);
      end = std::max(end, at->second);
      at = ranges.erase(at);
    }
    ranges.emplace(begin, end);
  }
  std::uint32_t intermediate(const runtime::Shape& shape, runtime::DType dtype) {
    plan_.intermediates.push_back(layout(runtime::Tensor::unallocated(shape, dtype)));
    return static_cast<std::uint32_t>(plan_.intermediates.size() - 1);
  }

  template <class Key, class Value, class List>
  static std::uint32_t number_of(std::map<Key, std::uint32_t>& known, List& list, const Key& key,
                                 Value&& value) {
    const auto [at, is_new] = known.try_emplace(key, static_cast<std::uint32_t>(list.size()));
    if (is_new) list.push_back(std::forward<Value>(value));
    return at->second;
  }
  std::uint32_t layout(const runtime::Tensor& tensor) {
    Bundle::Layout made;
    made.dims = static_cast<std::uint8_t>(tensor.dims());
    made.dtype = tensor.dtype();
    for (std::size_t d = 0; d < tensor.dims(); ++d) {
      made.shape[d] = tensor.extent(d);
      made.strides[d] = tensor.stride(d);
    }
    return number_of(layouts_, plan_.layouts, made, made);
  }

  SavedPlan::Parameter parameter(const PlanParameter& it) {
    SavedPlan::Parameter made;
    made.is_tensor = it.is_tensor;
    made.is_slot = it.is_slot;
    made.scalar = it.scalar;
    if (!it.is_tensor) return made;
    made.memory = static_cast<std::uint32_t>(it.memory);
    // In the memory of a chip all that is on it is numbered together; which tensors are one shows in their
    // place.
    const auto ref = it.tensor.buffer();
    if (it.memory != 0)
      made.memory = memories_
                        .try_emplace({it.memory, is_device_arena(ref.arena) ? ref.offset : 0},
                                     static_cast<std::uint32_t>(memories_.size()) + 1)
                        .first->second;
    made.layout = layout(it.tensor);
    made.buffer_bytes = it.tensor.buffer_bytes();
    made.offset = it.tensor.byte_offset();
    return made;
  }

  SavedPlan::View view(const Operand& operand, const PlanRoot& root, const std::string& title) {
    SavedPlan::View made;
    made.root = root.kind;
    made.tag = operand.tag;
    made.layout = layout(operand.tensor);
    const auto offset = operand.tensor.byte_offset();
    switch (root.kind) {
      case PlanRoot::Kind::fixed:
        break;
      case PlanRoot::Kind::slot:
        made.index = root.index;
        made.offset = offset - image_.parameters[root.index].tensor.byte_offset();
        break;
      case PlanRoot::Kind::intermediate: {
        const auto& pieces = pieces_[root.index];
        const auto& [begin, piece] = *std::prev(pieces.upper_bound(offset));
        made.index = piece.number;
        made.offset = offset - begin / alignment * alignment;
        break;
      }
      case PlanRoot::Kind::captured: {
        const auto& whole = image_.captures[root.index].whole.tensor;
        refuse(title + " uses " + (is_device_arena(whole.buffer().arena) ? "memory of a chip" : "a tensor") +
                   " that the plan keeps, " + runtime::to_string(whole) +
                   ": a file has the program, and no tensors",
               "make it a parameter of the recorded program, and give it with each replay");
      }
    }
    return made;
  }

  std::uint32_t code(const Callable& callable, bool came_along, const std::string& title) {
    SavedPlan::Code made;
    made.kind = callable.kind;
    made.data_task = callable.data_task;
    if (callable.data_task == DataTask::none) {
      if (callable.kind == CallableKind::function)
        refuse(title + " is a host function, which is code of this process alone",
               "submit it between two plans; or make it a kernel of a module");
      const bool has_no_name = callable.kind == CallableKind::program && callable.descriptor == nullptr;
      if (came_along || has_no_name)
        refuse(title + " is code that came with its submit, and no node knows it by a name",
               "put it into a module, and submit it by its name");
      made.name = callable.name;
      made.digest = callable.digest();
    }
    return number_of(codes_, plan_.code, &callable, made);
  }
  static std::string title_of(std::string_view name) { return "task \"" + std::string(name) + "\""; }
  std::uint32_t name(const std::string& text) {
    return text.empty() ? 0 : number_of(names_, plan_.names, text, text) + 1;
  }

  /// Kept until the step's own edges are known.
  void begin_task(SavedPlan::Task& task) {
    const auto& call = step_->call;
    task.priority = call.priority.value;
    if (call.target) task.target = call.target->index;
    if (call.deadline) task.deadline = call.deadline->value.count();
    if (call.retry) task.attempts = call.retry->attempts;
  }
  void add(SavedPlan::Task task, bool is_first) {
    const auto number = static_cast<std::uint32_t>(plan_.tasks.size());
    if (is_first) {
      steps_.back().first.push_back(number);
      for (const auto before : step_->after) {
        const auto& last = steps_[before].last;
        edges_ += last.size();
        if (edges_ > most_edges)
          refuse("its tasks come after each other in more than " + std::to_string(most_edges) + " ways",
                 "let one task come between those that are after(…) many");
        task.after.insert(task.after.end(), last.begin(), last.end());
      }
    }
    std::sort(task.after.begin(), task.after.end());
    plan_.tasks.push_back(std::move(task));
  }

  void add_task() {
    SavedPlan::Task task;
    begin_task(task);
    const auto* extras = step_->call.extras.get();
    const auto title =
        title_of(extras != nullptr && !extras->name.empty() ? extras->name : step_->callable->name);
    task.code = code(*step_->callable, extras != nullptr && extras->owned, title);
    if (extras != nullptr) {
      task.name = name(extras->name);
      task.blocks = extras->blocks;
      task.config = extras->config;
      task.is_idempotent = extras->idempotent;
    }
    std::size_t next = 0;
    const auto add_member = [&](const Args& args) {
      if (!args.domains.empty())
        refuse(title + " belongs to a communication domain, which is formed on the node that runs it",
               "submit what communicates between two plans");
      auto& member = task.members.emplace_back();
      member.home = args.home;
      for (const auto& operand : args.values.tensors)
        member.tensors.push_back(view(operand, step_->roots[next++], title));
      for (std::uint32_t i = 0; i < args.values.scalars.size(); ++i)
        member.scalars.push_back(scalar(args, i));
    };
    task.is_group = !step_->members.empty();
    task.chips = step_->chips;
    if (!task.is_group) add_member(step_->call.args);
    for (const auto& member : step_->members) add_member(member);
    add(std::move(task), true);
    steps_.back().last = steps_.back().first;
  }
  static SavedPlan::Scalar scalar(const Args& args, std::uint32_t number) {
    const auto* kinds = args.values.kinds();
    SavedPlan::Scalar made{{args.values.scalars[number], kinds != nullptr
                                                             ? static_cast<runtime::ScalarKind>(kinds[number])
                                                             : runtime::ScalarKind::any}};
    for (const auto& slot : args.slots) {
      if (slot.scalar == number) made.slot = slot.slot;
    }
    return made;
  }

  void add_bundle(const Bundle& bundle) {
    if (step_->call.retry)
      refuse("plan \"" + step_->callable->name +
                 "\", a part of it, is tried again as a whole, and a file knows of tasks alone",
             "say retry(…) where this plan is submitted");
    const auto whole = arguments_of(*step_);
    const auto begin = static_cast<std::uint32_t>(plan_.tasks.size());
    std::vector<bool> followed(bundle.size());
    auto patch = bundle.patches.begin();
    for (std::uint32_t i = 0; i < bundle.size(); ++i) {
      SavedPlan::Task task;
      begin_task(task);
      const auto& it = bundle.tasks[i];
      const auto title = title_of(bundle.name_of(i));
      task.code = code(*bundle.code[it.callable].callable, bundle.code[it.callable].owned != nullptr, title);
      if (it.name != 0) task.name = name(bundle.names[it.name - 1U]);
      if (it.option != 0) {
        task.blocks = bundle.options[it.option - 1U].blocks;
        task.config = bundle.options[it.option - 1U].config;
      }
      auto& member = task.members.emplace_back();
      for (const auto tensor : bundle.tensors_of(i)) {
        const auto& root = step_->roots[bundle.views[tensor >> Bundle::tag_bits].argument];
        member.tensors.push_back(view(bundle.operand(tensor, whole), root, title));
      }
      for (auto number = it.scalars; number < bundle.tasks[i + 1].scalars; ++number) {
        while (patch != bundle.patches.end() && patch->scalar < number) ++patch;
        if (patch != bundle.patches.end() && patch->scalar == number) {
          member.scalars.push_back(scalar(step_->call.args, patch->argument));
        } else {
          member.scalars.push_back(
              {{bundle.scalars[number], static_cast<runtime::ScalarKind>(bundle.scalar_kinds[number])}});
        }
      }
      const auto producers = bundle.producers_of(i);
      for (const auto before : producers) {
        task.after.push_back(begin + before);
        followed[before] = true;
      }
      add(std::move(task), producers.empty());
    }
    for (std::uint32_t i = 0; i < bundle.size(); ++i) {
      if (!followed[i]) steps_.back().last.push_back(begin + i);
    }
  }

  const PlanImage& image_;
  SavedPlan plan_;
  const PlanStep* step_ = nullptr;
  std::vector<Ends> steps_;
  std::vector<std::map<std::uint64_t, Piece>> pieces_;  ///< of each intermediate, by their first byte
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t> memories_;
  std::map<Bundle::Layout, std::uint32_t> layouts_;
  std::map<const Callable*, std::uint32_t> codes_;
  std::map<std::string, std::uint32_t> names_;
  std::size_t edges_ = 0;
};

}  // namespace

SavedPlan saved(const PlanImage& image) { return Saver(image).save(); }

void Plan::save(const std::string& path) const {
  if (!image_) throw Error(Errc::bad_argument, "an empty Plan cannot be saved", "keep what record returns");
  const auto bytes = encode(saved(*image_));
  write_whole_file(path, "plan \"" + image_->name + "\" to \"" + path + "\"", bytes).value();
}

}  // namespace troupe::actors
