/** One attention layer of DeepSeek-V3's kind inside a program of TensorFlow.js: a tf.Tensor in, a tf.Tensor out. */
import { tfjs } from '@mariana/backend-tfjs';
import { preset, RandomWeights } from '@mariana/core';
import { MultiHeadLatentAttention } from '@mariana/layers';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu'; // or any other engine of tfjs

const config = preset('tiny');
const backend = await tfjs({ tf, engine: 'cpu' });
const weights = new RandomWeights(config); // or: await Checkpoint.open(new DirectoryFiles('./DeepSeek-V2-Lite'))
using attention = await MultiHeadLatentAttention.load(config, weights, { layer: 1, backend });

const x = tf.randomNormal([5, config.hiddenSize], 0, 1, 'float32', 7);
using input = backend.adopt(x); // the same values, not a copy
using output = await attention.forward(input);
const y = tf.add(x, backend.toTf(output)); // and on with what tfjs has
console.log(y instanceof tf.Tensor, x.shape, y.shape);
