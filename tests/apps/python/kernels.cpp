// Kernels and programs for the tests of the Python package.
#include <cmath>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <troupe/troupe.hpp>

using namespace troupe;

TROUPE_KERNEL(add)(KernelArgs& k) {
  const auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i];
}

TROUPE_KERNEL(scale)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  const auto by = k.scalar<float>(0);
  if (x.dims() == 2) {
    for (std::size_t i = 0; i < x.extent(0); ++i) {
      for (std::size_t j = 0; j < x.extent(1); ++j) x(i, j) *= by;
    }
  } else {
    for (std::size_t i = 0; i < x.extent(0); ++i) x(i) *= by;
  }
}

TROUPE_KERNEL(count_up)(KernelArgs& k) {
  for (auto& value : k.tensor<std::int32_t>(0)) value += k.scalar<std::int32_t>(0);
}

// One step of Newton's method for a square root, and how far it went.
TROUPE_KERNEL(newton)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  const float before = x[0];
  x[0] = (before + k.scalar<float>(0) / before) / 2;
  k.tensor<float>(1)[0] = std::fabs(x[0] - before);
}

TROUPE_KERNEL(refuse)(KernelArgs&) { throw std::runtime_error("this kernel refuses"); }

// Does not return before it is asked to.
TROUPE_KERNEL(hang)(KernelArgs& k) {
  while (!k.aborted()) std::this_thread::yield();
}

// Fills its tensor with the rank's number.
TROUPE_KERNEL(mark)(KernelArgs& k) {
  for (auto& value : k.tensor<float>(0)) value = k.scalar<float>(0);
}

void scale_twice(Orchestrator& node, Tensor x, float by) {
  node.submit("scale", inout(x), scalar(by));
  node.submit("scale", inout(x), scalar(by));
}
TROUPE_PROGRAM(scale_twice);

// The oracle of random programs: one line after the other, on plain memory, without troupe. `arrays` of rows
// x columns floats lie one behind the other. How many lines there were; -1 for one that makes no sense.
extern "C" __attribute__((visibility("default"))) int troupe_python_oracle(const char* script, float* memory,
                                                                           std::size_t arrays,
                                                                           std::size_t rows,
                                                                           std::size_t columns) {
  std::istringstream lines(script);
  std::string what;
  int done = 0;
  while (lines >> what) {
    std::size_t x = 0, y = 0, first_row = 0, last_row = rows, first_column = 0, last_column = columns;
    float by = 0;
    lines >> x >> y >> by >> first_row >> last_row >> first_column >> last_column;
    if (!lines || x >= arrays || y >= arrays || last_row > rows || last_column > columns) return -1;
    for (std::size_t row = first_row; row < last_row; ++row) {
      for (std::size_t column = first_column; column < last_column; ++column) {
        float& to = memory[(x * rows + row) * columns + column];
        const float from = memory[(y * rows + row) * columns + column];
        if (what == "scale") {
          to *= by;
        } else if (what == "copy") {
          to = from;
        } else if (what == "fill") {
          to = by;
        } else if (what == "add") {
          to += from;
        } else {
          return -1;
        }
      }
    }
    ++done;
  }
  return done;
}

TROUPE_MODULE("python_tests");
