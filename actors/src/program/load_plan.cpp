// A plan from a file: its tasks are submitted to a recording that sends nothing, so that what a program would
// be refused is refused here, too.
#include <algorithm>
#include <array>
#include <utility>

#include "program/program.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/orchestrator.hpp"

namespace troupe::actors {
namespace {

/// Where a program's lines go that nobody is to run: each has ended when it comes.
class Nowhere final : public ProgramPort {
 public:
  void attach(ProgramCore& core) { core_ = &core; }
  void send(Submit submit, bool) override {
    for (const auto& line : submit.lines) {
      using Kind = Submission::Kind;
      if (line.kind == Kind::task || line.kind == Kind::group) ++ended_;
    }
    core_->on(Credit{ended_});
  }
  void send(ReadDone) override {}
  void send(OpenDomain) override {}
  void send(ReleaseDomain) override {}
  void send(EnterBarrier) override {}
  bool may_block() const override { return false; }
  void block() override {}

 private:
  ProgramCore* core_ = nullptr;
  std::uint64_t ended_ = 0;
};

class Loader {
 public:
  Loader(const NodeShared& node, const SavedPlan& plan) : node_(&node), plan_(&plan) {}

  detail::PlanRecord record() {
    find_code();
    detail::PlanRecord record;
    record.name = plan_->name;
    for (const auto& it : plan_->parameters) record.parameters.push_back(parameter(it));
    record.take = [](const std::vector<Tensor>&) {};
    record.body = [this](Orchestrator& node) -> Program {
      submit_all(node);
      return {};
    };
    return record;
  }

 private:
  static std::string quoted(const std::string& name) { return "\"" + name + "\""; }

  /// All that is missing in one error: a user who loads a module for the first may not have the second.
  void find_code() {
    std::string missing, other;
    for (const auto& it : plan_->code) {
      if (it.data_task != DataTask::none) {
        code_.push_back(nullptr);
        continue;
      }
      const auto found = node_->callables->find(it.name);
      code_.push_back(found ? *found : nullptr);
      auto* list = !found || (*found)->kind != it.kind ? &missing
                   : (*found)->digest() != it.digest   ? &other
                                                       : nullptr;
      if (list != nullptr)
        *list += (list->empty() ? "" : ", ") + quoted(it.name) + " (" + short_string(it.digest) + ")";
    }
    if (!missing.empty())
      throw Error(Errc::unknown_callable,
                  "plan " + quoted(plan_->name) + " needs what " + node_->path + " does not know: " + missing,
                  "load the module that has it before the plan: node.load(\"…\"), of troupe run --module");
    if (!other.empty())
      throw Error(Errc::unknown_callable,
                  "plan " + quoted(plan_->name) + " was recorded with other code than " + node_->path +
                      " has under the same name: " + other,
                  "load the module that it was recorded with, or record it again");
  }

  static runtime::Shape shape(const Bundle::Layout& layout,
                              const std::array<std::uint32_t, runtime::limits::max_dims>& numbers) {
    std::array<std::uint64_t, runtime::limits::max_dims> wide{};
    std::copy(numbers.begin(), numbers.end(), wide.begin());
    return runtime::Shape::from({wide.data(), layout.dims}).value();
  }
  /// A tensor of the program around, as far as the plan knows; a replay gives another.
  runtime::Tensor view(runtime::BufferRef ref, std::uint64_t bytes, std::uint64_t offset,
                       std::uint32_t layout) const {
    const auto& it = plan_->layouts[layout];
    return runtime::Tensor::create_strided(ref, bytes, offset, shape(it, it.shape), shape(it, it.strides),
                                           it.dtype)
        .value();
  }
  static runtime::BufferRef memory(std::uint64_t number) {
    return {program_arena, run, (std::uint64_t{1} << 63U) + number};
  }
  detail::PlanArgument parameter(const SavedPlan::Parameter& it) {
    detail::PlanArgument made;
    made.is_tensor = it.is_tensor;
    made.is_slot = it.is_slot && !it.is_tensor;
    made.scalar = it.scalar;
    // Those without bytes lie in no buffer: each has one of its own.
    const auto number = it.memory != 0 ? it.memory : UINT32_MAX + parameters_.size();
    if (it.is_tensor) made.tensor = Tensor(view(memory(number), it.buffer_bytes, it.offset, it.layout));
    parameters_.push_back(made.tensor.description());
    return made;
  }

  void submit_all(Orchestrator& node) {
    for (const auto layout : plan_->intermediates) {
      const auto& it = plan_->layouts[layout];
      intermediates_.push_back(node.alloc(shape(it, it.shape), it.dtype));
    }
    for (const auto& task : plan_->tasks) {
      try {
        tasks_.push_back(submit(node, task));
      } catch (const Error& error) {
        const auto& code = plan_->code[task.code];
        const auto& name = task.name != 0 ? plan_->names[task.name - 1U] : code.name;
        throw Error(Errc::bad_argument, "plan " + quoted(plan_->name) + " cannot run on " + node_->path +
                                            ": its task " + std::to_string(tasks_.size()) + ", " +
                                            (name.empty() ? "a copy or a fill" : quoted(name)))
            .caused_by(error);
      }
    }
  }

  Task submit(Orchestrator& node, const SavedPlan::Task& task) {
    detail::SubmitCall call;
    if (task.name != 0) call.more().name = plan_->names[task.name - 1U];
    if (task.blocks != 0) call.more().blocks = task.blocks;
    if (task.config) call.more().config = task.config;
    if (task.is_idempotent) call.more().idempotent = true;
    call.priority = Priority{task.priority};
    if (task.target) call.target = OnExecutor{*task.target};
    if (task.deadline) call.deadline = Deadline{std::chrono::nanoseconds(*task.deadline)};
    if (task.attempts) call.retry = Retry{*task.attempts};
    for (const auto before : task.after) call.after.push_back(after(tasks_[before]));
    std::vector<Args> members;
    for (const auto& member : task.members) members.push_back(arguments(member));
    const auto& code = plan_->code[task.code];
    if (task.is_group) {
      if (code.data_task != DataTask::none)
        throw Error(Errc::bad_argument, "a copy or a fill is no group", "save the plan again");
      return node.submit_gathered(*code_[task.code], std::move(members), task.chips, std::move(call));
    }
    call.args = std::move(members.front());
    if (code.data_task != DataTask::none) return node.submit_gathered(code.data_task, std::move(call));
    return node.submit_gathered(*code_[task.code], std::move(call));
  }

  Args arguments(const SavedPlan::Member& member) const {
    Args args;
    args.home = member.home;
    for (const auto& it : member.tensors) {
      runtime::TensorArg arg{{}, it.tag};
      switch (it.root) {
        case PlanRoot::Kind::slot: {
          const auto& of = parameters_[it.index];
          arg.tensor = view(of.buffer(), of.buffer_bytes(), of.byte_offset() + it.offset, it.layout);
          break;
        }
        case PlanRoot::Kind::intermediate: {
          const auto& of = intermediates_[it.index].description();
          arg.tensor = view(of.buffer(), of.buffer_bytes(), it.offset, it.layout);
          break;
        }
        default:
          arg.tensor = view(runtime::BufferRef{}, 0, 0, it.layout);
      }
      args.add(arg);
    }
    for (const auto& it : member.scalars) args.add(detail::SlotScalar{it.value, it.slot});
    return args;
  }

  static constexpr std::uint32_t run = 0;  ///< no run of a node has this number

  const NodeShared* node_;
  const SavedPlan* plan_;
  std::vector<const Callable*> code_;
  std::vector<runtime::Tensor> parameters_;
  std::vector<Tensor> intermediates_;
  std::vector<Task> tasks_;
};

}  // namespace

Plan load_plan(std::shared_ptr<NodeShared> node, const SavedPlan& saved) {
  auto port = std::make_unique<Nowhere>();
  auto& nowhere = *port;
  Loader loader(*node, saved);
  ProgramCore core(std::move(node), 0, std::move(port));
  nowhere.attach(core);
  Orchestrator orchestrator(core);
  auto record = loader.record();
  return core.record(record, orchestrator);
}

}  // namespace troupe::actors
