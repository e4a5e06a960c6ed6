#include "plan/image.hpp"

#include "troupe/actors/plan.hpp"

namespace troupe::actors {
namespace {

std::string amount(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string use_of(bool reads, bool writes) {
  if (reads && writes) return "read and written";
  return writes ? "written" : reads ? "read" : "not used";
}

std::string line_of(std::size_t number, const PlanStep& step) {
  auto text = "  step " + std::to_string(number) + ": ";
  if (step.callable->bundle) {
    const auto& bundle = *step.callable->bundle;
    text += amount(bundle.size(), "task") + " as one, with " + amount(bundle.producers.size(), "edge") +
            " between them";
  } else {
    const bool named = step.call.extras && !step.call.extras->name.empty();
    text += "\"" + (named ? step.call.extras->name : step.callable->name) + "\"";
    if (!step.members.empty()) text += ", a group of " + std::to_string(step.members.size());
    if (step.callable->kind == CallableKind::function) text += ", a host function";
  }
  if (step.call.target) text += ", on executor " + std::to_string(step.call.target->index);
  for (std::size_t i = 0; i < step.after.size(); ++i)
    text += (i == 0 ? ", after step " : ", ") + std::to_string(step.after[i]);
  return text + "\n";
}

}  // namespace

runtime::Tensor rebound(const runtime::Tensor& view, const runtime::Tensor& recorded,
                        const runtime::Tensor& given) {
  return runtime::Tensor::create_strided(given.buffer(), given.buffer_bytes(),
                                         given.byte_offset() + (view.byte_offset() - recorded.byte_offset()),
                                         view.shape(), view.strides(), view.dtype())
      .value();
}

std::size_t PlanImage::bytes() const {
  std::size_t sum = sizeof(PlanImage) + parameters.capacity() * sizeof(PlanParameter) +
                    captures.capacity() * sizeof(PlanCapture) +
                    intermediates.capacity() * sizeof(PlanIntermediate) +
                    steps.capacity() * sizeof(PlanStep) + holds.capacity() * sizeof(holds.front());
  for (const auto& step : steps) {
    sum += step.roots.capacity() * sizeof(PlanRoot) +
           (step.after.capacity() + step.makes.capacity() + step.drops.capacity()) * sizeof(std::uint32_t) +
           step.call.args.values.tensors.capacity() * sizeof(Operand) +
           step.call.args.values.scalars.capacity() * sizeof(std::uint64_t);
    if (step.call.extras) sum += sizeof(SubmitExtras);
    for (const auto& member : step.members)
      sum += sizeof(Args) + member.values.tensors.capacity() * sizeof(Operand);
    if (step.callable->bundle) sum += step.callable->bundle->bytes() + sizeof(Callable);
  }
  return sum;
}

std::string PlanImage::describe() const {
  auto text = "plan \"" + name + "\" of " + path + ": " + amount(tasks, "task") + " in " +
              amount(steps.size(), "step") + "\n";
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& it = parameters[i];
    text += "  parameter " + std::to_string(i) + ": ";
    if (it.is_tensor) {
      text += to_string(it.tensor) + ", " + use_of(it.reads, it.writes) + "\n";
    } else {
      text += std::string(runtime::name_of(it.scalar.kind)) + (it.is_slot ? ", a slot\n" : ", as recorded\n");
    }
  }
  for (const auto& it : captures)
    text += "  keeps " + to_string(it.whole.tensor) + (it.writes ? ", written\n" : ", read\n");
  if (!domains.empty()) text += "  keeps " + amount(domains.size(), "communication domain") + "\n";
  for (const auto& it : intermediates) {
    text += "  makes " + std::string(runtime::name_of(it.dtype)) + to_string(it.shape) + "\n";
  }
  for (std::size_t i = 0; i < steps.size(); ++i) text += line_of(i, steps[i]);
  return text;
}

const std::string& Plan::name() const {
  static const std::string none;
  return image_ ? image_->name : none;
}
std::size_t Plan::tasks() const { return image_ ? image_->tasks : 0; }
std::size_t Plan::steps() const { return image_ ? image_->steps.size() : 0; }
std::size_t Plan::bytes() const { return image_ ? image_->bytes() : 0; }
std::vector<PlanParameterInfo> Plan::parameters() const {
  std::vector<PlanParameterInfo> all;
  if (!image_) return all;
  for (const auto& it : image_->parameters)
    all.push_back({it.is_tensor, it.is_slot, it.tensor.in_buffer({}), it.scalar, it.reads, it.writes});
  return all;
}
std::string Plan::describe() const { return image_ ? image_->describe() : "an empty plan\n"; }

}  // namespace troupe::actors
