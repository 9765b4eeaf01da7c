import pytest
from recipes.workplace import Workplace, furnish


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("workplace"))


@pytest.fixture
def workplace(shared, tmp_path):
    return Workplace(shared=shared, own=tmp_path)
