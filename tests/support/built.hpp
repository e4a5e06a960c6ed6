// Where this build put what the tests load. Only `built.cpp` knows the folder, so that objects of two
// checkouts are the same for a compiler cache.
#pragma once
#include <string>

namespace troupe::tests {

/// `built("lib/libtroupe_a2a3sim.so")`: a file or folder below the build folder.
std::string built(const std::string& name);

}  // namespace troupe::tests
