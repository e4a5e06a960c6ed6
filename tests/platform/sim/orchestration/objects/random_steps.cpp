// Runs a random program: (memory as int32, the program as an address).
#include <vector>

#include "orchestration/objects/random_program.hpp"

#include "support/orchestration_object.hpp"

namespace {

enum Kernel : int { mixer = 0, nothing = 1 };

using namespace random_program;

class Run {
 public:
  Run(const object::Tensor& memory, const Program& program)
      : memory_(memory), program_(program), made_(program.steps.size()) {}

  void run() {
    for (std::size_t i = 0; i < program_.steps.size(); ++i) step(i);
  }

 private:
  object::Tensor tensor(const View& view) const {
    object::Tensor tensor = view.made < 0 ? memory_ : made_[static_cast<std::size_t>(view.made)];
    tensor.start = view.start;
    tensor.ndims = view.ndims;
    for (std::uint32_t d = 0; d < view.ndims; ++d) {
      tensor.shape[d] = view.shape[d];
      tensor.strides[d] = view.strides[d];
    }
    tensor.measure();
    return tensor;
  }

  void step(std::size_t i) {
    const Step& what = program_.steps[i];
    switch (what.kind) {
      case Step::begin:
        return open(object::Mode::automatic);
      case Step::begin_manual: {
        // Inside, nothing is inferred: this one comes before the first.
        TaskArguments all;
        all.inout(memory_);
        last_ = object::dummy(all).task;
        manual_ = true;
        return open(object::Mode::manual);
      }
      case Step::end: {
        object::bound()->ops->scope_end(object::bound());
        if (!manual_) return;
        manual_ = false;
        TaskArguments all;
        all.inout(memory_).after(&last_, 1);
        object::dummy(all);
        return;
      }
      case Step::get:
        told_ = mixed(told_, static_cast<std::uint32_t>(read(tensor(what.views[0]))));
        return;
      case Step::set: {
        const object::Tensor place = tensor(what.views[0]);
        return object::set(place, 0, static_cast<std::int32_t>(mixed(what.number, told_)));
      }
      case Step::allocate: {
        object::NewTensor wanted(what.elements, object::Type::i32);
#ifndef OBJECT_HOST_GRAPH
        made_[i] = object::alloc_one(wanted.fill(mixed(what.number, what.number)))[0];
#endif
        return;
      }
      default:
        break;
    }
    object::Tensor tensors[3];
    for (std::uint32_t t = 0; t < what.count; ++t) tensors[t] = tensor(what.views[t]);
    submit(i, tensors, what.count, what);
  }

  static std::int32_t read(const object::Tensor& place) { return object::get<std::int32_t>(place, 0); }

  void open(object::Mode mode) {
    object::bound()->pending = mode;
    object::bound()->ops->scope_begin(object::bound());
  }

  void submit(std::size_t i, const object::Tensor* tensors, std::uint32_t count, const Step& what) {
    TaskArguments task;
    std::uint32_t uses = 0;
    for (std::uint32_t t = 0; t < count; ++t) {
      uses |= static_cast<std::uint32_t>(what.uses[t]) << (2 * t);
      task.put(what.uses[t] == reads    ? object::input
               : what.uses[t] == writes ? object::existing
                                        : object::both,
               &tensors[t]);
    }
    object::NewTensor wanted(what.elements == 0 ? 1 : what.elements, object::Type::i32);
    if (what.kind == Step::make) {
      uses |= static_cast<std::uint32_t>(writes) << (2 * count);
      task.out(wanted);
    }
    const object::Tensor flag = tensor(what.flag);
    if (what.predicated) task.when(flag, 0, object::Compare::greater_equal, what.least);
    task.scalar(std::uint64_t{mixed(what.number, told_)}).scalar(std::uint64_t{uses});
    task.blocks(what.blocks);
    if (manual_) task.after(&last_, 1);
    const object::Outputs done = what.kind == Step::dummy ? object::dummy(task)
                                 : what.mixed             ? object::submit({mixer, nothing, nothing}, task)
                                                          : object::aiv(mixer, task);
    if (manual_) last_ = done.task;
    if (done.count != 0) made_[i] = done[0];
  }

  const object::Tensor memory_;
  const Program& program_;
  std::vector<object::Tensor> made_;
  std::uint32_t told_ = 0;
  bool manual_ = false;
  std::uint64_t last_ = 0;
};

}  // namespace

extern "C" OBJECT_EXPORT void aicpu_orchestration_entry(const ChipArguments& run) {
  Run(run.tensor(0), *run.scalar_as<const Program*>(0)).run();
}
