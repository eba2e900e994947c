"""Apps with front ends of the usual kinds, as files."""

from __future__ import annotations

FASTAPI_WITH_VITE = {
    "Procfile": "web: uvicorn --port $PORT app:app\n",
    "fungible.toml": 'build = ["npx vite build"]\n[assets]\nroots = ["dist"]\nurl = "/assets/"\n',
    "vite.config.js": (
        "import tailwindcss from '@tailwindcss/vite'\n"
        "export default {\n"
        "  base: '/assets/',\n"
        "  plugins: [tailwindcss()],\n"
        "  build: { manifest: true, assetsDir: '', rollupOptions: { input: ['src/main.js', 'src/other.js'] } },\n"
        "}\n"
    ),
    "src/main.js": "import './main.css'\nimport { say } from './shared.js'\nsay('main')\n"
    "document.onclick = () => import('./later.js').then((later) => later.show())\n",
    "src/other.js": "import { say } from './shared.js'\nsay('other')\n",
    "src/shared.js": "export function say(who) { document.title = who + ' was here, and says it at some length' }\n",
    "src/later.js": "import './later.css'\nimport picture from './picture.png'\n"
    "export function show() { document.body.append(picture) }\n",
    "src/main.css": "@import 'tailwindcss';\n",
    "src/later.css": ".later { color: teal }\n",
    "src/picture.png": "a picture " * 1000,
    "public/favicon.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "app.py": (
        "from fastapi import FastAPI\n"
        "from fastapi.responses import HTMLResponse\n"
        "from fungible_kit.assets import asgi, asset, asset_tags\n"
        "pages = FastAPI()\n"
        "@pages.get('/', response_class=HTMLResponse)\n"
        "def home():\n"
        "    icon = asset('favicon.svg')\n"
        "    tags = asset_tags('src/main.js')\n"
        "    return f'<link rel=icon href={icon}>{tags}<p class=\"text-3xl underline\">hello'\n"
        "app = asgi(pages)\n"
    ),
}

DJANGO_ADMIN = {
    "Procfile": "web: gunicorn --workers 1 --bind 127.0.0.1:$PORT site_wsgi:application\n",
    "fungible.toml": (
        'build = ["SECRET_KEY=build python manage.py collectstatic --noinput"]\n'
        'release = "python manage.py migrate"\n'
        '[services]\nDATABASE_URL = "sqlite"\n'
        '[assets]\nroots = ["staticfiles"]\nurl = "/static/"\n'
        '[verify]\nworkload = "workload.yaml"\n'
        'setup = "DJANGO_SUPERUSER_PASSWORD=s3cret python manage.py createsuperuser --noinput'
        ' --username ann --email ann@example.org"\n'
    ),
    "workload.yaml": (
        "requests:\n"
        '  - {method: GET, path: /admin/login/, save: {csrf: \'re:csrfmiddlewaretoken" value="([^"]+)\'}}\n'
        "  - method: POST\n"
        "    path: /admin/login/\n"
        "    form: {username: ann, password: s3cret, csrfmiddlewaretoken: '${csrf}', next: /admin/}\n"
        "  - {method: GET, path: /admin/}\n"
        "  - {method: GET, path: /admin/auth/user/1/change/}\n"
    ),
    "manage.py": (
        "import os, sys\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_settings')\n"
        "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
    ),
    "site_settings.py": (
        "import os\n"
        "SECRET_KEY = os.environ['SECRET_KEY']\n"
        "ALLOWED_HOSTS = ['localhost', '127.0.0.1']\n"
        "ROOT_URLCONF = 'site_urls'\n"
        "INSTALLED_APPS = ['django.contrib.admin', 'django.contrib.auth', 'django.contrib.contenttypes',\n"
        "    'django.contrib.sessions', 'django.contrib.messages', 'django.contrib.staticfiles']\n"
        "MIDDLEWARE = ['django.contrib.sessions.middleware.SessionMiddleware',\n"
        "    'django.middleware.csrf.CsrfViewMiddleware',\n"
        "    'django.contrib.auth.middleware.AuthenticationMiddleware',\n"
        "    'django.contrib.messages.middleware.MessageMiddleware']\n"
        "TEMPLATES = [{'BACKEND': 'django.template.backends.django.DjangoTemplates', 'APP_DIRS': True,\n"
        "    'OPTIONS': {'context_processors': ['django.template.context_processors.request',\n"
        "    'django.contrib.auth.context_processors.auth',\n"
        "    'django.contrib.messages.context_processors.messages']}}]\n"
        "_path = os.environ.get('DATABASE_URL', 'sqlite:///:memory:').removeprefix('sqlite:///')\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': _path}}\n"
        "STATIC_URL = '/static/'\n"
        "STATIC_ROOT = os.path.join(os.path.dirname(__file__), 'staticfiles')\n"
        "STORAGES = {'staticfiles': {'BACKEND': 'django.contrib.staticfiles.storage.ManifestStaticFilesStorage'}}\n"
    ),
    "site_urls.py": (
        "from django.contrib import admin\nfrom django.urls import path\n"
        "from django.views.generic import RedirectView\n"
        "urlpatterns = [path('', RedirectView.as_view(url='/admin/')), path('admin/', admin.site.urls)]\n"
    ),
    "site_wsgi.py": (
        "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_settings')\n"
        "from django.core.wsgi import get_wsgi_application\nfrom fungible_kit.assets import wsgi\n"
        "application = wsgi(get_wsgi_application())\n"
    ),
    ".env": "SECRET_KEY=for-running-only\n",
}

FLASK_ASSETS = {
    "Procfile": "web: gunicorn --workers 1 --bind 127.0.0.1:$PORT app:app\n",
    "fungible.toml": 'build = ["flask assets build"]\n',
    "app.py": (
        "from flask import Flask, render_template\n"
        "from flask_assets import Bundle, Environment\n"
        "app = Flask(__name__)\n"
        "app.config['ASSETS_AUTO_BUILD'] = False\n"
        "app.config['ASSETS_DEBUG'] = False\n"
        "bundles = Environment(app)\n"
        "bundles.register('site', Bundle('site.scss', filters='libsass', output='built/site.css'))\n"
        "@app.get('/')\n"
        "def home():\n"
        "    return render_template('home.html')\n"
    ),
    "templates/home.html": (
        '{% assets "site" %}<link rel="stylesheet" href="{{ ASSET_URL }}">{% endassets %}\n'
        "<img src=\"{{ url_for('static', filename='logo.svg') }}\">\n"
    ),
    "static/site.scss": "$tone: teal;\nbody { p { color: $tone } }\n",
    "static/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
}

FLASK_WITH_KIT = {
    "Procfile": "web: gunicorn --workers 1 --bind 127.0.0.1:$PORT app:app\n",
    "fungible.toml": '[assets]\nroots = ["static"]\n',
    "app.py": (
        "from flask import Flask, render_template\n"
        "from fungible_kit.assets import install, wsgi\n"
        "app = Flask(__name__, static_folder=None)\n"
        "install(app.jinja_env)\n"
        "app.wsgi_app = wsgi(app.wsgi_app)\n"
        "@app.get('/')\n"
        "def home():\n"
        "    return render_template('home.html')\n"
    ),
    "templates/home.html": "<title>shop</title>\n{{ asset_tags('site.css') }}\n<img src='{{ asset('logo.svg') }}'>\n",
    "static/site.css": "body { background: url('logo.svg') }\n" + "p { color: teal }\n" * 50,
    "static/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
}


def django(settings: str, page: str, build: str, **files: str) -> dict[str, str]:
    """A Django site with one `page`; `settings` come after those that it has without."""
    return {
        "Procfile": DJANGO_ADMIN["Procfile"],
        "fungible.toml": f'build = {build}\n[assets]\nroots = ["staticfiles"]\nurl = "/static/"\n',
        "manage.py": DJANGO_ADMIN["manage.py"],
        "site_wsgi.py": DJANGO_ADMIN["site_wsgi.py"],
        "site_urls.py": (
            "from django.urls import path\nfrom django.views.generic import TemplateView\n"
            "urlpatterns = [path('', TemplateView.as_view(template_name='home.html'))]\n"
        ),
        "site_settings.py": (
            "import os\n"
            "BASE = os.path.dirname(os.path.abspath(__file__))\n"
            "SECRET_KEY = 'x'\n"
            "ALLOWED_HOSTS = ['localhost']\n"
            "ROOT_URLCONF = 'site_urls'\n"
            "INSTALLED_APPS = ['django.contrib.staticfiles']\n"
            "TEMPLATES = [{'BACKEND': 'django.template.backends.django.DjangoTemplates',\n"
            "    'APP_DIRS': True,\n"
            "    'DIRS': [os.path.join(BASE, 'templates')]}]\n"
            "STATIC_URL = '/static/'\n"
            "STATIC_ROOT = os.path.join(BASE, 'staticfiles')\n"
            "STATICFILES_DIRS = [os.path.join(BASE, 'assets')]\n"
            f"{settings}"
        ),
        "templates/home.html": page,
        "assets/site.scss": "$tone: teal;\nbody { p { color: $tone } }\n",
        "assets/logo.svg": FLASK_WITH_KIT["static/logo.svg"],
        **files,
    }


COLLECTSTATIC = '"python manage.py collectstatic --noinput"'

DJANGO_PIPELINE = django(
    "INSTALLED_APPS += ['pipeline']\n"
    "STORAGES = {'staticfiles': {'BACKEND': 'pipeline.storage.PipelineManifestStorage'}}\n"
    "STATICFILES_FINDERS = ['django.contrib.staticfiles.finders.FileSystemFinder',\n"
    "    'pipeline.finders.PipelineFinder']\n"
    "PIPELINE = {\n"
    "    'PIPELINE_ENABLED': True,\n"
    "    'COMPILERS': ['pipeline.compilers.sass.SASSCompiler'],\n"
    "    'SASS_BINARY': 'pysassc',\n"
    "    'CSS_COMPRESSOR': 'pipeline.compressors.NoopCompressor',\n"
    "    'STYLESHEETS': {'site': {'source_filenames': ['site.scss'], 'output_filename': 'built/site.css'}},\n"
    "}\n",
    "{% load pipeline static %}<title>shop</title>{% stylesheet 'site' %}<img src=\"{% static 'logo.svg' %}\">\n",
    f"[{COLLECTSTATIC}]",
)

DJANGO_COMPRESSOR = django(
    "INSTALLED_APPS += ['compressor']\n"
    "STATICFILES_FINDERS = ['django.contrib.staticfiles.finders.FileSystemFinder',\n"
    "    'compressor.finders.CompressorFinder']\n"
    "COMPRESS_PRECOMPILERS = [('text/x-scss', 'pysassc {infile} {outfile}')]\n"
    "COMPRESS_OFFLINE = True\n"
    "STORAGES = {'staticfiles': {'BACKEND': 'django.contrib.staticfiles.storage.ManifestStaticFilesStorage'}}\n",
    "{% load compress static %}<title>shop</title>\n"
    '{% compress css %}<link rel="stylesheet" type="text/x-scss" href="{% static \'site.scss\' %}">'
    '<link rel="stylesheet" href="{% static \'plain.css\' %}">{% endcompress %}\n'
    "<img src=\"{% static 'logo.svg' %}\">\n",
    f'[{COLLECTSTATIC}, "python manage.py compress"]',
    **{"assets/plain.css": "h1 { color: navy }\n"},
)
