#include "support/built.hpp"

namespace troupe::tests {

std::string built(const std::string& name) { return std::string(TROUPE_BUILD_FOLDER "/") + name; }

}  // namespace troupe::tests
