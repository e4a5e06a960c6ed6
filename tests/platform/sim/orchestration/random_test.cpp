// The same random program as an orchestration object of either runtime, as a chip program of a module, and
// step by step on the host: the same memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "orchestration/objects/random_program.hpp"
#include "orchestration/orchestrations.hpp"
#include "support/random.hpp"

using namespace troupe;
using namespace troupe::test;
using random_program::mixed;
using random_program::Program;
using random_program::Step;
using random_program::Use;
using random_program::View;

namespace {

/// Makes programs from a seed.
class Author {
 public:
  Author(std::uint64_t seed, bool host_graph) : random_(seed), host_graph_(host_graph) {}

  Program write() {
    program_.cells = 32 + number(96);
    const std::uint32_t length = 5 + number(60);
    while (program_.steps.size() < length) add();
    while (!scopes_.empty()) end();
    return std::move(program_);
  }

 private:
  std::uint32_t number(std::uint32_t below) { return static_cast<std::uint32_t>(random_() % below); }
  bool chance(std::uint32_t one_in) { return number(one_in) == 0; }

  View inside(std::int32_t made, std::uint32_t cells) {
    View view;
    view.made = made;
    view.start = number(cells);
    const std::uint32_t left = cells - view.start;
    if (left >= 4 && chance(3)) {  // a tile
      view.ndims = 2;
      view.strides[0] = 2 + number(left / 2);
      view.strides[1] = 1;
      view.shape[1] = 1 + number(std::min(view.strides[0], left));
      const std::uint32_t rows = (left - view.shape[1]) / view.strides[0] + 1;
      view.shape[0] = 1 + number(rows);
      return view;
    }
    view.strides[0] = chance(3) ? 1 + number(3) : 1;
    view.shape[0] = 1 + number((left - 1) / view.strides[0] + 1);
    return view;
  }
  View any() {
    if (made_.empty() || manual() || chance(2)) return inside(-1, program_.cells);
    const auto at = made_[number(static_cast<std::uint32_t>(made_.size()))];
    return inside(static_cast<std::int32_t>(at), program_.steps[at].elements);
  }
  View cell() {
    View view;
    view.start = number(program_.cells);
    return view;
  }
  bool manual() const { return !scopes_.empty() && scopes_.back().manual; }

  void end() {
    Step step;
    step.kind = Step::end;
    program_.steps.push_back(step);
    made_.resize(scopes_.back().made);
    scopes_.pop_back();
  }
  void add() {
    Step step;
    step.number = static_cast<std::uint32_t>(random_());
    const std::uint32_t dice = number(20);
    if (dice < 2 && scopes_.size() < 6 && !manual()) {
      step.kind = dice == 0 ? Step::begin : Step::begin_manual;
      scopes_.push_back({dice == 1, made_.size()});
      program_.steps.push_back(step);
      return;
    }
    if (dice == 2 && !scopes_.empty()) return end();
    if (dice == 3 && !manual() && !host_graph_) {
      step.kind = chance(2) ? Step::get : Step::set;
      step.views[0] = any();
      step.views[0].ndims = 1;
      step.views[0].shape[0] = 1;
      program_.steps.push_back(step);
      return;
    }
    if (dice == 4 && !manual() && !host_graph_) {
      step.kind = Step::allocate;
      step.elements = 1 + number(40);
      made_.push_back(program_.steps.size());
      program_.steps.push_back(step);
      return;
    }
    step.kind = dice < 9 ? Step::make : dice == 9 ? Step::dummy : Step::task;
    step.count = step.kind == Step::make ? 1 + number(2) : 1 + number(3);
    for (std::uint32_t i = 0; i < step.count; ++i) {
      step.views[i] = any();
      step.uses[i] = step.kind == Step::make ? random_program::reads : static_cast<Use>(number(3));
    }
    if (step.kind == Step::make) {
      step.elements = 1 + number(40);
      step.blocks = static_cast<std::int16_t>(chance(3) ? 1 + number(20) : 1);
    } else if (step.kind == Step::task) {
      step.mixed = chance(6);
      step.predicated = !manual() && chance(5);
      step.flag = cell();
      step.least = static_cast<std::int32_t>(random_());
    }
    if (step.kind == Step::make && !manual()) made_.push_back(program_.steps.size());
    program_.steps.push_back(step);
  }

  struct Scope {
    bool manual;
    std::size_t made;
  };
  std::mt19937_64 random_;
  const bool host_graph_;
  Program program_;
  std::vector<Scope> scopes_;
  std::vector<std::size_t> made_;  ///< steps whose tensors can be named
};

using Cells = std::vector<std::uint32_t>;

/// One step after the other.
class Model {
 public:
  Model(const Program& program, Cells& memory)
      : program_(program), memory_(memory), made_(program.steps.size()) {}

  void run() {
    for (std::size_t i = 0; i < program_.steps.size(); ++i) step(i);
  }

 private:
  Cells& buffer(const View& view) {
    return view.made < 0 ? memory_ : made_[static_cast<std::size_t>(view.made)];
  }
  static std::uint32_t count(const View& view) {
    return view.ndims == 1 ? view.shape[0] : view.shape[0] * view.shape[1];
  }
  std::uint32_t& at(const View& view, std::uint32_t i) {
    const std::uint32_t offset =
        view.ndims == 1 ? i * view.strides[0]
                        : i / view.shape[1] * view.strides[0] + i % view.shape[1] * view.strides[1];
    return buffer(view).at(view.start + offset);
  }
  void step(std::size_t i) {
    const Step& step = program_.steps[i];
    if (step.kind == Step::get) told_ = mixed(told_, at(step.views[0], 0));
    if (step.kind == Step::set) at(step.views[0], 0) = mixed(step.number, told_);
    if (step.kind == Step::allocate) made_[i].assign(step.elements, mixed(step.number, step.number));
    if (step.kind != Step::task && step.kind != Step::make) return;
    if (step.predicated && static_cast<std::int32_t>(at(step.flag, 0)) < step.least) return;
    std::uint32_t sum = mixed(step.number, told_);
    for (std::uint32_t t = 0; t < step.count; ++t) {
      if (step.uses[t] == random_program::writes) continue;
      for (std::uint32_t k = 0; k < count(step.views[t]); ++k) sum = mixed(sum, at(step.views[t], k));
    }
    if (step.kind == Step::make) {
      for (std::uint32_t k = 0; k < step.elements; ++k) made_[i].push_back(mixed(sum + k, 0));
      return;
    }
    for (std::uint32_t t = 0; t < step.count; ++t) {
      if (step.uses[t] == random_program::reads) continue;
      for (std::uint32_t k = 0; k < count(step.views[t]); ++k) {
        std::uint32_t& element = at(step.views[t], k);
        element = mixed(sum + k, step.uses[t] == random_program::updates ? element : 0);
      }
    }
  }

  const Program& program_;
  Cells& memory_;
  std::vector<Cells> made_;
  std::uint32_t told_ = 0;
};

/// As a chip program of a module would say it; manual scopes are scopes, since nothing else is needed.
class Native {
 public:
  Native(ChipOrchestrator& chip, const Tensor& memory, const Program& program)
      : chip_(chip), memory_(memory), program_(program), made_(program.steps.size()) {}

  void run() {
    for (std::size_t i = 0; i < program_.steps.size(); ++i) step(i);
  }

 private:
  Tensor tensor(const View& view) const {
    const Tensor& of = view.made < 0 ? memory_ : made_[static_cast<std::size_t>(view.made)];
    const std::uint64_t shape[2] = {view.shape[0], view.shape[1]},
                        strides[2] = {view.strides[0], view.strides[1]};
    return Tensor::create_strided(of.buffer(), of.buffer_bytes(),
                                  of.byte_offset() + view.start * std::uint64_t{4},
                                  *runtime::Shape::from({shape, view.ndims}),
                                  *runtime::Shape::from({strides, view.ndims}), runtime::DType::i32)
        .value();
  }
  void step(std::size_t i) {
    const Step& step = program_.steps[i];
    switch (step.kind) {
      case Step::begin:
      case Step::begin_manual:
        scopes_.push_back(chip_.scope());
        return;
      case Step::end:
        scopes_.pop_back();
        return;
      case Step::get:
        told_ = mixed(told_, static_cast<std::uint32_t>(chip_.get<std::int32_t>(tensor(step.views[0]), 0)));
        return;
      case Step::set:
        chip_.set(tensor(step.views[0]), static_cast<std::int32_t>(mixed(step.number, told_)), 0);
        return;
      case Step::allocate:
        made_[i] =
            chip_.alloc(runtime_new(step).fill(static_cast<std::int32_t>(mixed(step.number, step.number))));
        return;
      default:
        break;
    }
    const auto use = [&](std::uint32_t t) {
      const auto tag = step.uses[t] == random_program::reads    ? Tag::in
                       : step.uses[t] == random_program::writes ? Tag::out
                                                                : Tag::inout;
      return runtime::TensorArg{tensor(step.views[t]), tag};
    };
    if (step.count == 1) submit(i, use(0));
    if (step.count == 2) submit(i, use(0), use(1));
    if (step.count == 3) submit(i, use(0), use(1), use(2));
  }
  static NewTensor runtime_new(const Step& step) { return out_new<std::int32_t>({step.elements}); }

  template <class... Uses>
  void submit(std::size_t i, const Uses&... tensors) {
    const Step& step = program_.steps[i];
    std::uint32_t uses = 0;
    for (std::uint32_t t = 0; t < step.count; ++t)
      uses |= static_cast<std::uint32_t>(step.uses[t]) << (2 * t);
    const auto number = scalar(std::uint64_t{mixed(step.number, told_)});
    if (step.kind == Step::dummy) {
      chip_.dummy(tensors...);
    } else if (step.kind == Step::make) {
      uses |= static_cast<std::uint32_t>(random_program::writes) << (2 * step.count);
      made_[i] = chip_.aiv("0", tensors..., runtime_new(step), number, scalar(std::uint64_t{uses}),
                           blocks(step.blocks));
    } else if (step.mixed && step.predicated) {
      chip_.mixed({"0", "1", "1"}, tensors..., number, scalar(std::uint64_t{uses}), flag_of(step));
    } else if (step.mixed) {
      chip_.mixed({"0", "1", "1"}, tensors..., number, scalar(std::uint64_t{uses}));
    } else if (step.predicated) {
      chip_.aiv("0", tensors..., number, scalar(std::uint64_t{uses}), flag_of(step));
    } else {
      chip_.aiv("0", tensors..., number, scalar(std::uint64_t{uses}));
    }
  }
  When flag_of(const Step& step) const {
    return when(tensor(step.flag), runtime::Compare::greater_equal, step.least);
  }

  ChipOrchestrator& chip_;
  const Tensor memory_;
  const Program& program_;
  std::vector<Tensor> made_;
  std::vector<ChipScope> scopes_;
  std::uint32_t told_ = 0;
};

std::string check(Orchestrations& chip, std::uint64_t callable, const Program& program,
                  const Cells& expected) {
  Cells memory(program.cells);
  for (std::uint32_t i = 0; i < program.cells; ++i) memory[i] = i;
  const auto tensor = Tensor::host(reinterpret_cast<std::int32_t*>(memory.data()), {program.cells});
  const Program* where = &program;
  const auto done = chip.run(callable, RunArgs::of(inout(tensor), scalar(where)));
  if (!done) return render(done.error());
  return memory == expected ? "" : "another memory";
}

void compare(const std::string& platform, const std::string& runtime, bool checked, std::uint64_t count) {
  Orchestrations chip(platform, {{"checked", checked ? "1" : "0"}});
  const auto object = chip.add_packed("random_steps", runtime, {{0, "mixer"}, {1, "nothing"}});
  chip.add_bytes("0", object_file("mixer"));
  chip.add_bytes("1", object_file("nothing"));
  const auto native = chip.add("random_natively");
  const std::uint64_t first = first_seed();
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    CAPTURE(seed);
    const Program program = Author(seed, runtime == "hbg").write();
    Cells expected(program.cells);
    for (std::uint32_t i = 0; i < program.cells; ++i) expected[i] = i;
    Model(program, expected).run();
    REQUIRE(check(chip, object, program, expected) == "");
    REQUIRE(check(chip, native, program, expected) == "");
  }
}

}  // namespace

TROUPE_CHIP_PROGRAM(random_natively)(ChipOrchestrator& chip, ChipArgs args) {
  Native(chip, args.tensor(0), *args.scalar<const Program*>(0)).run();
}

TROUPE_MODULE("sim_orchestration_tests");

TEST_CASE("a random program leaves the same memory as an object, as a chip program, and step by step") {
  compare("a2a3sim", "tmr", false, seeds(150));
  compare("a5sim", "hbg", false, seeds(100));
}

TEST_CASE("random programs on a checked chip") {
  compare("a5sim", "tmr", true, seeds(50));
  compare("a2a3sim", "hbg", true, seeds(50));
}
