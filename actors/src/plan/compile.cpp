// From a recording to a plan: what each argument is a part of, what depends on what, and which tasks become
// one.
#include "plan/compile.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "data/data.hpp"
#include "plan/fuse.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/runtime/recorded_edges.hpp"
#include "window_hold.hpp"

namespace troupe::actors {
runtime::Box box_in(const runtime::Tensor& view) {
  auto box = runtime::make_box(view);
  if (is_device_arena(view.buffer().arena)) {
    box.lo += view.buffer().offset;
    box.hi += view.buffer().offset;
  }
  return box;
}

namespace {

using Memory = runtime::RecordedEdges::Memory;

std::string title(const RecordedTask& task) {
  const bool named = task.call.extras && !task.call.extras->name.empty();
  return "task \"" + (named ? task.call.extras->name : task.callable->name) + "\"";
}

/// What tells the memory of an argument from all other. The buffer of an intermediate may be gone by now.
Memory memory_of(const runtime::Tensor& view, const Buffer* buffer) {
  if (view.buffer().arena == program_arena) return {2, view.buffer().offset};
  if (buffer != nullptr) return {0, buffer->number()};
  return {1, std::uint64_t{view.buffer().arena} << 32U | view.buffer().generation};
}
/// All of a buffer, or of memory of a chip, as elements of this type.
Operand whole_of(const Operand& part) {
  const auto bytes = part.tensor.buffer_bytes();
  auto dtype = part.tensor.dtype();
  if (bytes / runtime::size_of(dtype) > UINT32_MAX && bytes % 8 == 0) dtype = runtime::DType::u64;
  if (bytes % runtime::size_of(dtype) != 0) dtype = runtime::DType::u8;
  const auto all = runtime::Tensor::create(part.tensor.buffer(), bytes, 0,
                                           runtime::Shape(bytes / runtime::size_of(dtype)), dtype);
  return {{all.value(), runtime::Tag::in}, part.buffer};
}

class Compiler {
 public:
  explicit Compiler(Recording recording) : recording_(std::move(recording)) {}

  std::shared_ptr<const PlanImage> compile() {
    image_->name = recording_.name;
    image_->node = recording_.node;
    image_->path = recording_.path;
    image_->system = recording_.system;
    image_->callables = recording_.callables;
    image_->tasks = static_cast<std::uint32_t>(recording_.tasks.size());
    if (recording_.tasks.empty())
      throw Error(Errc::bad_argument,
                  "plan \"" + image_->name + "\" has no task: its program submitted none");
    take_parameters();
    for (auto& made : recording_.intermediates) {
      numbers_.emplace(made.number, static_cast<std::uint32_t>(image_->intermediates.size()));
      image_->intermediates.push_back(made.what);
    }
    for (std::uint32_t i = 0; i < recording_.tasks.size(); ++i) take_task(i);
    make_steps();
    for (const auto domain : domains_) image_->domains.push_back(recording_.keep_domain(domain));
    return image_;
  }

 private:
  void take_parameters() {
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> seen;
    for (const auto& given : recording_.parameters) {
      PlanParameter parameter;
      parameter.is_tensor = given.is_tensor;
      parameter.is_slot = given.is_slot || given.is_tensor;
      parameter.scalar = given.scalar;
      parameter.tensor = given.tensor.description();
      if (given.is_tensor && given.tensor.bytes() > 0) {
        const auto memory = memory_of(parameter.tensor, buffer_of(given.tensor));
        parameter.memory = seen.try_emplace({memory.kind, memory.number}, seen.size() + 1).first->second;
      }
      image_->parameters.push_back(parameter);
    }
  }
  static Buffer* buffer_of(const Tensor& tensor) { return tensor.hold() ? tensor.hold()->buffer : nullptr; }

  void take_task(std::uint32_t index) {
    auto& task = recording_.tasks[index];
    auto& roots = roots_.emplace_back();
    auto& producers = producers_.emplace_back();
    const auto take = [&](Args& args) {
      for (auto& operand : args.values.tensors) take_operand(index, args, operand, roots, producers);
      for (const auto& use : args.slots) check_slot(task, args, use);
      for (const auto& context : args.domains) take_domain(index, context, producers);
    };
    if (task.members.empty()) take(task.call.args);
    for (auto& member : task.members) take(member);
    note_slots(task, roots);
    producers.insert(producers.end(), task.after.begin(), task.after.end());
    std::sort(producers.begin(), producers.end());
    producers.erase(std::unique(producers.begin(), producers.end()), producers.end());
  }

  /// It counts as writing its rank's window, and the domain stays as long as the plan.
  void take_domain(std::uint32_t index, const DomainContext& context, std::vector<std::uint32_t>& producers) {
    if (context.domain != 0) domains_.insert(context.domain);
    if (!context.ordered || !context.window.valid() || context.window.bytes() == 0) return;
    edges_.add(index, memory_of(context.window, nullptr), box_in(context.window), true, true, producers);
  }

  /// What the task does with parameters: it reads before it writes, in whatever order it names them.
  void note_slots(const RecordedTask& task, const std::vector<PlanRoot>& roots) {
    for (const bool reading : {true, false}) {
      std::size_t next = 0;
      const auto note = [&](const Args& args) {
        for (const auto& operand : args.values.tensors) {
          const auto& root = roots[next++];
          const bool free = operand.tag == runtime::Tag::no_dep;
          const bool reads = runtime::reads(operand.tag) || free;
          if (root.kind == PlanRoot::Kind::slot && reads == reading)
            note_slot(image_->parameters[root.index], operand, reads, runtime::writes(operand.tag) || free);
        }
      };
      if (task.members.empty()) note(task.call.args);
      for (const auto& member : task.members) note(member);
    }
  }
  static void note_slot(PlanParameter& parameter, const Operand& operand, bool reads, bool writes) {
    const bool all = writes && !reads && operand.tensor == parameter.tensor;
    parameter.overwritten |= all && !parameter.reads;
    parameter.reads |= !all && !parameter.overwritten;
    parameter.writes |= writes;
  }

  void take_operand(std::uint32_t index, const Args& args, Operand& operand, std::vector<PlanRoot>& roots,
                    std::vector<std::uint32_t>& producers) {
    const auto root = root_of(recording_.tasks[index], args, operand);
    roots.push_back(root);
    if (root.kind == PlanRoot::Kind::fixed) return;
    // An argument without dependencies (`no_dep`) may be read and written.
    const bool free = operand.tag == runtime::Tag::no_dep;
    const bool writes = runtime::writes(operand.tag) || free, reads = runtime::reads(operand.tag) || free;
    if (root.kind == PlanRoot::Kind::captured) image_->captures[root.index].writes |= writes;
    if (free) return;
    edges_.add(index, memory_of(operand.tensor, operand.buffer), box_in(operand.tensor), reads, writes,
               producers);
  }

  PlanRoot root_of(const RecordedTask& task, const Args& args, const Operand& operand) {
    const auto& view = operand.tensor;
    if (view.bytes() == 0) return {};
    if (view.buffer().arena == program_arena) {
      const auto known = numbers_.find(view.buffer().offset);
      if (known != numbers_.end()) return {PlanRoot::Kind::intermediate, known->second};
    }
    const auto memory = memory_of(view, operand.buffer);
    const auto box = box_in(view);
    bool touches = false;
    for (std::uint32_t i = 0; i < recording_.parameters.size(); ++i) {
      const auto& parameter = recording_.parameters[i];
      if (!parameter.is_tensor || parameter.tensor.bytes() == 0) continue;
      if (!(memory_of(parameter.tensor.description(), buffer_of(parameter.tensor)) == memory)) continue;
      const auto whole = box_in(parameter.tensor.description());
      if (runtime::covers(whole, box)) return {PlanRoot::Kind::slot, i};
      touches = touches || runtime::overlaps(whole, box);
    }
    if (touches)
      refuse(task, to_string(view) + " is a tensor of which a parameter is only a part",
             "use views of the parameter, or make the whole tensor the parameter");
    return captured(task, args, operand, memory);
  }

  PlanRoot captured(const RecordedTask& task, const Args& args, const Operand& operand,
                    const Memory& memory) {
    const auto ref = operand.tensor.buffer();
    if (ref.arena == program_arena)
      refuse(task, to_string(operand.tensor) + " is an intermediate that the program did not make itself",
             "make it a parameter: each replay has one of its own");
    const bool users = operand.buffer == nullptr ? !is_device_arena(ref.arena)
                                                 : operand.buffer->kind() == Buffer::Kind::borrowed;
    if (users)
      refuse(task, to_string(operand.tensor) + " is memory of the user's own, which the plan cannot keep",
             "make it a parameter, or a tensor of the node's");
    const auto [known, is_new] = captured_.try_emplace(std::tuple(memory.kind, memory.number, ref.offset),
                                                       static_cast<std::uint32_t>(image_->captures.size()));
    if (!is_new) return {PlanRoot::Kind::captured, known->second};
    PlanCapture capture;
    capture.whole = whole_of(operand);
    if (operand.buffer != nullptr) {
      capture.hold = operand.buffer->shared_from_this();
    } else {
      capture.hold = keep_device_memory(task, args, operand);
    }
    image_->captures.push_back(std::move(capture));
    return {PlanRoot::Kind::captured, known->second};
  }

  /// What keeps the device memory of an operand alive; of a window, its domain does.
  std::shared_ptr<BufferHold> keep_device_memory(const RecordedTask& task, const Args& args,
                                                 const Operand& operand) {
    std::vector<const Operand*> on_chip;
    for (const auto& it : args.values.tensors) {
      if (it.buffer == nullptr && is_device_arena(it.tensor.buffer().arena)) on_chip.push_back(&it);
    }
    std::vector<std::shared_ptr<BufferHold>> held;  // one for each of those, in their order
    for (const auto& hold : args.holds) {
      if (hold->buffer != nullptr) continue;
      held.push_back(hold);
      if (const auto domain = WindowHold::domain_of(*hold); domain != 0) domains_.insert(domain);
      if (std::find(image_->holds.begin(), image_->holds.end(), hold) == image_->holds.end())
        image_->holds.push_back(hold);
    }
    if (held.size() < on_chip.size())
      refuse(task, "a tensor of it lies in memory of a chip that nobody keeps",
             "make it a parameter, and give the tensor with each replay");
    const auto place = std::find(on_chip.begin(), on_chip.end(), &operand) - on_chip.begin();
    return held[static_cast<std::size_t>(place)];
  }

  void check_slot(const RecordedTask& task, const Args& args, const detail::SlotUse& use) const {
    const auto& parameters = recording_.parameters;
    const auto index = static_cast<std::size_t>(use.slot);
    const bool kinds_known = args.values.kinds() != nullptr;
    if (index < parameters.size() && parameters[index].is_slot &&
        parameters[index].scalar.word == args.values.scalars[use.scalar] &&
        (!kinds_known ||
         parameters[index].scalar.kind == static_cast<runtime::ScalarKind>(args.values.kinds()[use.scalar])))
      return;
    refuse(task, "a slot that is not a parameter of this program",
           "pass on the slots that the program was given");
  }

  [[noreturn]] void refuse(const RecordedTask& task, const std::string& why, const std::string& hint) const {
    throw Error(Errc::bad_argument, "plan \"" + image_->name + "\" cannot have " + title(task) + ": " + why,
                hint);
  }

  void make_steps() {
    auto steps = fuse({recording_, *image_, roots_, producers_});
    keep_used_intermediates(steps);
    for (auto& step : steps) {
      if (!step.workspace) continue;
      step.roots.push_back(
          {PlanRoot::Kind::intermediate, static_cast<std::uint32_t>(image_->intermediates.size())});
      step.call.args.values.tensors.emplace_back(
          runtime::out(runtime::Tensor::unallocated(step.workspace->shape, step.workspace->dtype)));
      image_->intermediates.push_back(*step.workspace);
    }
    // Where an intermediate is made, and where it goes.
    std::vector<std::uint32_t> last(image_->intermediates.size(), 0);
    std::vector<bool> made(image_->intermediates.size());
    for (std::uint32_t i = 0; i < steps.size(); ++i) {
      for (const auto& root : steps[i].roots) {
        if (root.kind != PlanRoot::Kind::intermediate) continue;
        if (!made[root.index]) steps[i].makes.push_back(root.index);
        made[root.index] = true;
        last[root.index] = i;
      }
    }
    for (std::uint32_t i = 0; i < last.size(); ++i) {
      if (made[i]) steps[last[i]].drops.push_back(i);
    }
    image_->steps = std::move(steps);
  }

  /// Those of one step alone are in its workspace.
  void keep_used_intermediates(std::vector<PlanStep>& steps) {
    constexpr auto unused = ~std::uint32_t{0};
    std::vector<std::uint32_t> numbers(image_->intermediates.size(), unused);
    std::vector<PlanIntermediate> used;
    for (auto& step : steps) {
      for (auto& root : step.roots) {
        if (root.kind != PlanRoot::Kind::intermediate) continue;
        auto& number = numbers[root.index];
        if (number == unused) {
          number = static_cast<std::uint32_t>(used.size());
          used.push_back(image_->intermediates[root.index]);
        }
        root.index = number;
      }
    }
    image_->intermediates = std::move(used);
  }

  Recording recording_;
  std::shared_ptr<PlanImage> image_ = std::make_shared<PlanImage>();
  runtime::RecordedEdges edges_;
  std::map<std::uint64_t, std::uint32_t> numbers_;  ///< intermediates, by their program's number
  std::map<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>, std::uint32_t> captured_;
  std::set<std::uint64_t> domains_;
  std::vector<std::vector<PlanRoot>> roots_;  ///< of each task
  std::vector<std::vector<std::uint32_t>> producers_;
};

}  // namespace

std::shared_ptr<const PlanImage> compile(Recording recording) {
  return Compiler(std::move(recording)).compile();
}

}  // namespace troupe::actors
