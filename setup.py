"""Package metadata of openedx-webhooks."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """Return the version that ``openedx_webhooks/__init__.py`` states."""
    text = (HERE / "openedx_webhooks" / "__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if not match:
        raise RuntimeError("openedx_webhooks/__init__.py states no __version__.")
    return match.group(1)


def requirements(name: str) -> list[str]:
    """Return the requirement lines of ``requirements/<name>.in``, without comments."""
    lines = (HERE / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines()
    stripped = (line.partition("#")[0].strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("-")]


setup(
    name="openedx-webhooks",
    version=version(),
    description="Webhooks, webfilters and signed enrollment orders for Open edX.",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8")
    + "\n\n"
    + (HERE / "CHANGELOG.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    author="The openedx-webhooks authors",
    license="AGPL-3.0",
    license_files=["LICENSE.txt"],
    packages=find_packages(include=["openedx_webhooks", "openedx_webhooks.*"]),
    include_package_data=True,
    python_requires=">=3.11",
    install_requires=requirements("base"),
    zip_safe=False,
    keywords="openedx webhooks events filters plugin",
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Framework :: Django",
        "Framework :: Django :: 4.2",
        "Framework :: Django :: 5.2",
        "Intended Audience :: Developers",
        "License :: OSI Approved :: GNU Affero General Public License v3",
        "Natural Language :: English",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
    ],
    entry_points={
        "lms.djangoapp": ["openedx_webhooks = openedx_webhooks.apps:WebhooksConfig"],
        "cms.djangoapp": ["openedx_webhooks = openedx_webhooks.apps:WebhooksConfig"],
    },
)
