import numpy as np
from recurra.keras.models import Sequential
from recurra.keras.layers import Bidirectional, LSTM, Dense

# Sample data
x_train = np.random.random((100, 10, 1))  # 100 samples, 10 time steps, 1 feature
y_train = np.random.random((100, 1))      # 100 target values

# Define Multilayer Bidirectional LSTM model
model = Sequential()
model.add(Bidirectional(LSTM(50, activation='tanh', return_sequences=True), input_shape=(10, 1)))  # First Bidirectional LSTM layer
model.add(Bidirectional(LSTM(50, activation='tanh')))  # Second Bidirectional LSTM layer
model.add(Dense(1))  # Output layer

# Compile model
model.compile(optimizer='adam', loss='mse')

# Train model
model.fit(x_train, y_train, epochs=10)
