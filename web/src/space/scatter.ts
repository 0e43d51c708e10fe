// Points drawn by WebGL2. While the person moves the view a prefix of the points is drawn, which is a
// fair sample because their order is random; when the view rests the others follow piece by piece.
import { type Camera, pixelsPerUnit, type Size } from "./camera.ts";
import { SIDE } from "./colours.ts";

/** Points of one piece when the view rests. */
const PIECE = 400_000;

const VERTEX = `#version 300 es
in vec2 a_place;
in vec2 a_from;
in uint a_colour;
uniform vec3 u_map;
uniform vec4 u_view;
uniform float u_t;
uniform float u_size;
uniform float u_alpha;
uniform sampler2D u_palette;
out vec4 v_colour;
void main() {
  vec2 place = mix(a_from, u_map.xy + u_map.z * a_place, u_t);
  gl_Position = vec4((place - u_view.xy) * u_view.zw, 0.0, 1.0);
  gl_PointSize = u_size;
  vec3 rgb = texelFetch(u_palette, ivec2(int(a_colour & 255u), int(a_colour >> 8u)), 0).rgb;
  v_colour = vec4(rgb * u_alpha, u_alpha);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 v_colour;
uniform float u_size;
out vec4 colour;
void main() {
  if (u_size > 2.5) {
    float r = length(gl_PointCoord - 0.5);
    float cover = clamp((0.5 - r) * u_size, 0.0, 1.0);
    if (cover <= 0.0) discard;
    colour = v_colour * cover;
  } else colour = v_colour;
}`;

export interface Frame {
  camera: Camera;
  size: Size;
  /** Most points to draw while the view moves; absent at rest. */
  most: number | null;
  /** Share of the way from the earlier places, 1 at rest. */
  t: number;
}

/** Diameter of a point in CSS pixels for so many points at this zoom. */
export function pointSize(count: number, zoom: number): number {
  const base = count > 500_000 ? 1.2 : count > 100_000 ? 1.8 : count > 20_000 ? 2.6 : count > 4_000 ? 4 : 6;
  return Math.min(10, base * Math.sqrt(Math.max(1, zoom)) ** 0.8);
}

export class Scatter {
  readonly #gl: WebGL2RenderingContext;
  readonly #program: WebGLProgram;
  readonly #uniforms = new Map<string, WebGLUniformLocation | null>();
  readonly #places: WebGLBuffer;
  readonly #from: WebGLBuffer;
  readonly #colours: WebGLBuffer;
  readonly #chosen: WebGLBuffer;
  readonly #palette: WebGLTexture;
  #map: readonly [number, number, number] = [0, 0, 1];
  #whole = 1;
  #count = 0;
  #chosenCount = 0;
  #drawn = 0;
  #frame: Frame | null = null;

  private constructor(gl: WebGL2RenderingContext, readonly canvas: HTMLCanvasElement) {
    this.#gl = gl;
    this.#program = link(gl);
    this.#places = gl.createBuffer();
    this.#from = gl.createBuffer();
    this.#colours = gl.createBuffer();
    this.#chosen = gl.createBuffer();
    this.#palette = gl.createTexture();
    gl.useProgram(this.#program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindTexture(gl.TEXTURE_2D, this.#palette);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  /** `null` where WebGL2 is absent or switched off. */
  static on(canvas: HTMLCanvasElement): Scatter | null {
    if (new URLSearchParams(location.search).get("webgl") === "off") return null;
    const gl = canvas.getContext("webgl2", {
      alpha: true, antialias: false, depth: false, premultipliedAlpha: true, preserveDrawingBuffer: true,
    });
    return gl ? new Scatter(gl, canvas) : null;
  }

  /** New places; `from`, two numbers for each point, lets them come from elsewhere. */
  place(places: Int16Array, offset: readonly [number, number], scale: number, from: Float32Array | null): void {
    const gl = this.#gl;
    this.#map = [offset[0], offset[1], scale];
    this.#whole = Math.max(scale * 32_767, 1e-9);
    this.#count = places.length / 2;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#places);
    gl.bufferData(gl.ARRAY_BUFFER, places, gl.STATIC_DRAW);
    attribute(gl, this.#program, "a_place", (at) => gl.vertexAttribPointer(at, 2, gl.SHORT, false, 0, 0));
    const at = gl.getAttribLocation(this.#program, "a_from");
    if (from) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.#from);
      gl.bufferData(gl.ARRAY_BUFFER, from, gl.STATIC_DRAW);
      attribute(gl, this.#program, "a_from", (place) => gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0));
    } else {
      gl.disableVertexAttribArray(at);
      gl.vertexAttrib2f(at, 0, 0);
    }
  }

  /** The palette entry of each point. */
  colour(entries: Uint16Array): void {
    const gl = this.#gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.#colours);
    gl.bufferData(gl.ARRAY_BUFFER, entries, gl.STATIC_DRAW);
    attribute(gl, this.#program, "a_colour", (at) => gl.vertexAttribIPointer(at, 1, gl.UNSIGNED_SHORT, 0, 0));
  }

  paint(palette: Uint8Array): void {
    const gl = this.#gl;
    gl.bindTexture(gl.TEXTURE_2D, this.#palette);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, SIDE, SIDE, 0, gl.RGBA, gl.UNSIGNED_BYTE, palette);
  }

  /** Points drawn strongly over the others, which then fade; none for all alike. */
  choose(points: Uint32Array): void {
    const gl = this.#gl;
    this.#chosenCount = points.length;
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.#chosen);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, points, gl.STATIC_DRAW);
  }

  /** Draws a frame anew. Returns how many points were drawn. */
  draw(frame: Frame): number {
    const gl = this.#gl;
    this.#frame = frame;
    this.#drawn = 0;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    return this.more();
  }

  /** Draws the next piece of the same frame. Returns how many points were drawn in all. */
  more(): number {
    const frame = this.#frame;
    if (!frame || this.#count === 0) return 0;
    const gl = this.#gl;
    const most = Math.min(this.#count, frame.most ?? this.#count);
    const end = Math.min(most, this.#drawn + (frame.most ?? PIECE));
    this.#set(frame);
    this.#uniform("u_alpha", (at) => gl.uniform1f(at, this.#alpha()));
    gl.drawArrays(gl.POINTS, this.#drawn, end - this.#drawn);
    this.#drawn = end;
    if (this.#chosenCount > 0 && end === most) {
      this.#uniform("u_alpha", (at) => gl.uniform1f(at, 0.95));
      gl.drawElements(gl.POINTS, this.#chosenCount, gl.UNSIGNED_INT, 0);
    }
    return end;
  }

  /** Whether `more` would add something. */
  get unfinished(): boolean {
    return this.#frame !== null && this.#frame.most === null && this.#drawn < this.#count;
  }

  #alpha(): number {
    if (this.#chosenCount > 0) return 0.12;
    return this.#count > 500_000 ? 0.35 : this.#count > 20_000 ? 0.6 : 0.85;
  }

  #set({ camera, size, t }: Frame): void {
    const gl = this.#gl;
    const unit = (2 * pixelsPerUnit(camera, size));
    const ratio = this.canvas.width / Math.max(1, size.width);
    const dot = pointSize(this.#count, this.#whole / camera.half) * ratio;
    this.#uniform("u_map", (at) => gl.uniform3f(at, ...this.#map));
    this.#uniform("u_view", (at) =>
      gl.uniform4f(at, camera.x, camera.y, unit / size.width, unit / size.height));
    this.#uniform("u_t", (at) => gl.uniform1f(at, t));
    this.#uniform("u_size", (at) => gl.uniform1f(at, dot));
  }

  #uniform(name: string, set: (at: WebGLUniformLocation) => void): void {
    if (!this.#uniforms.has(name)) this.#uniforms.set(name, this.#gl.getUniformLocation(this.#program, name));
    const at = this.#uniforms.get(name);
    if (at) set(at);
  }
}

function attribute(
  gl: WebGL2RenderingContext,
  program: WebGLProgram,
  name: string,
  point: (at: number) => void,
): void {
  const at = gl.getAttribLocation(program, name);
  if (at < 0) return;
  gl.enableVertexAttribArray(at);
  point(at);
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error("WebGL gave no shader.");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
      throw new Error(gl.getShaderInfoLog(shader) ?? "A shader does not compile.");
    }
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error(gl.getProgramInfoLog(program) ?? "The shaders do not fit.");
  }
  return program;
}
