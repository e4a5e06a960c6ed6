// Where this build put what the tests load, and where its sources are. Only `built.cpp` knows the folders, so
// that objects of two checkouts are the same for a compiler cache.
#pragma once
#include <string>

namespace troupe::tests {

/// `built("lib/libtroupe_a2a3sim.so")`: a file or folder below the build folder.
std::string built(const std::string& name);

/// `in_sources("docs/errors.md")`: a file or folder of the source tree; without a name its root.
std::string in_sources(const std::string& name = {});

}  // namespace troupe::tests
